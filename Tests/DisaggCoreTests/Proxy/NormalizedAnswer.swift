@testable import DisaggCore

/// An answer without what may differ between engines: id, created, fingerprint, KV parameters, and hop headers.
struct NormalizedAnswer: Equatable, CustomStringConvertible {
    var status: Int
    var contentType: String
    var isComplete: Bool
    /// The body, or each event of a stream, as canonical JSON text.
    var parts: [String]

    init(_ response: RawResponse) {
        status = response.status
        contentType = response.headers.first { $0.name == "content-type" }?.value ?? ""
        isComplete = response.isComplete
        if contentType.hasPrefix("text/event-stream") {
            // The choices of a split request come in any order among each other; each one's events keep theirs.
            let events = response.body.components(separatedBy: "\n\n").enumerated().map {
                position, event -> (Int, Int, String) in
                // An `event:` line may stand ahead of the data.
                guard let data = event.firstRange(of: "data: "),
                    let view = try? JSONView(parsing: String(event[data.upperBound...]))
                else { return (Int.max, position, event) }
                let index = view["choices"]?[0]?["index"]?.int ?? Int.max
                return (index, position, String(event[..<data.lowerBound]) + Self.canonical(view))
            }
            parts = events.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2)
        } else {
            parts = [response.json.map(Self.canonical) ?? response.body]
        }
    }

    private static let differing: Set<String> = [
        "id", "created", "system_fingerprint", "kv_transfer_params", "created_at", "item_id", "request_id",
    ]

    /// JSON with sorted members and without the members that may differ.
    static func canonical(_ view: JSONView) -> String {
        switch view.kind {
        case .object:
            var members: [(String, String)] = []
            view.forEachMember { name, value in
                guard !Self.differing.contains(name) else { return }
                members.append((name, canonical(value)))
            }
            return "{" + members.sorted { $0.0 < $1.0 }.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
        case .array: return "[" + view.elements.map(canonical).joined(separator: ",") + "]"
        case .string: return JSONString.encode(view.string ?? "")
        default: return view.rawString
        }
    }

    var description: String { "\(status) \(contentType) complete=\(isComplete)\n  " + parts.joined(separator: "\n  ") }
}

extension String {
    /// Cuts at every occurrence of a separator, empty parts kept.
    func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = Substring(self)
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        parts.append(String(rest))
        return parts
    }
}
