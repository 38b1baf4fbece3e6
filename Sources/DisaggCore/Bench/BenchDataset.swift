/// Where a benchmark's requests come from.
package struct BenchDataset: Sendable, Hashable {
    /// What was asked for.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Random words of the lengths in the settings.
        case random
        /// Conversations in ShareGPT's format: the first turn of each is the prompt, the length of the second that of the
        /// answer.
        case sharegpt = "sharegpt-file"
        /// A trace of lengths and arrival times, Mooncake's (JSON lines) or Azure's (CSV).
        case trace = "trace-file"
    }

    package var kind: Kind
    /// The requests of a file; empty for random ones.
    package var items: [BenchItem]
    /// The file's name, without its folder.
    package var name: String

    /// Random words.
    package static let random = BenchDataset(kind: .random, items: [], name: "random")

    /// Whether the file says when requests arrive.
    package var hasArrivals: Bool { items.first?.arrival != nil }

    /// Reads a file.
    ///
    /// - Throws: ``CommandError`` that names the file, and the line where there is one.
    package static func load(_ kind: Kind, path: String?) throws(CommandError) -> BenchDataset {
        guard kind != .random else { return .random }
        guard let path else { throw CommandError("--dataset \(kind.rawValue) needs --dataset-path") }
        let bytes = try BenchFile.read(path)
        let items = kind == .sharegpt ? try ShareGPTReader.read(bytes, path) : try TraceReader.read(bytes, path)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return BenchDataset(kind: kind, items: items, name: name)
    }
}
