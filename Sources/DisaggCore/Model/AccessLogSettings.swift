/// How the proxy logs requests: one line each, apart from its other messages.
public struct AccessLogSettings: Sendable, Hashable {
    /// The file, or `-` for standard output; no access log where nil.
    public var path: String?
    /// The lines' form.
    public var format = AccessLogFormat.json

    /// Creates the default: no access log.
    public init() {}
}

/// The form of the access log's lines.
public enum AccessLogFormat: String, Sendable, Hashable, CaseIterable {
    /// One JSON object a line.
    case json
    /// `name=value` pairs for people.
    case text
}
