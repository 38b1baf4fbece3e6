/// The log files that `disagg-launch logs` was asked for.
package struct LogSelection: Sendable, Hashable {
    /// One process's file.
    package struct File: Sendable, Hashable {
        package var name: String
        package var path: String
    }

    /// The files, in start order.
    package var files: [File]

    /// Chooses.
    ///
    /// - Parameters:
    ///   - names: processes (`prefill-0`) and roles (`prefill`); empty for all.
    ///   - directory: the run's directory. Without a run, the files that one left are taken.
    /// - Throws: ``CommandError`` that lists what there is.
    package init(_ names: [String], in directory: String) throws(CommandError) {
        let state = try RunState.read(directory)
        let all =
            state?.processes.map { File(name: $0.name, path: $0.log) }
            ?? (ProcFile.names(in: directory) ?? []).filter { $0.hasSuffix(".log") }.sorted().map {
                File(name: String($0.dropLast(4)), path: "\(directory)/\($0)")
            }
        guard !all.isEmpty else {
            throw CommandError("there are no logs in \(directory): name the folder of `up` with --log-dir")
        }
        files = all
        guard !names.isEmpty else { return }
        for name in names where !all.contains(where: { Self.matches($0, name) }) {
            let hint = EditDistance.nearest(to: name, among: all.map(\.name)).map { ", did you mean \($0)?" } ?? ""
            throw CommandError(
                "there is no process or role \"\(name)\" (\(all.map(\.name).joined(separator: ", ")))\(hint)")
        }
        files = all.filter { file in names.contains { Self.matches(file, $0) } }
    }

    private static func matches(_ file: File, _ name: String) -> Bool {
        file.name == name || file.name.hasPrefix("\(name)-")
    }
}
