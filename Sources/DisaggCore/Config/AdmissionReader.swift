/// Reads and writes the section `admission`.
package enum AdmissionReader {
    package static let keys = ["queue", "queueTimeout", "priorityHeader", "chunks"]

    /// Reads the section into the settings.
    static func read(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ admission: inout AdmissionSettings
    ) {
        reader.members(of: node, at: path, known: keys) { reader, key, node, path in
            switch key {
            case "queue": reader.integer(node, at: path, in: 0...1_000_000).map { admission.queue = $0 }
            case "queueTimeout": reader.duration(node, at: path).map { admission.queueTimeout = $0 }
            case "priorityHeader":
                reader.string(node, at: path).map { admission.priorityHeader = $0.lowercased() }
            case "chunks": admission.chunks = reader.integer(node, at: path, in: 0...100_000_000) ?? admission.chunks
            default: break
            }
        }
    }

    /// The section's lines, every field with its value.
    static func lines(_ admission: AdmissionSettings) -> [String] {
        [
            "admission:",
            "  queue: \(admission.queue)",
            "  queueTimeout: \(ConfigText.text(admission.queueTimeout))",
            "  priorityHeader: \(YAMLText.scalar(admission.priorityHeader))",
        ] + (admission.chunks.map { ["  chunks: \($0)"] } ?? [])
    }
}
