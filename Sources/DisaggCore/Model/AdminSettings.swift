/// Where and how the proxy is administered.
public struct AdminSettings: Sendable, Hashable {
    /// Whether there is an admin listener at all.
    public var isEnabled = true
    /// Where it listens; loopback at the port after the proxy's own where nil, so 127.0.0.1:9001 by default.
    public var listen: Endpoint?
    /// A file whose first line is the bearer token. Where nil, the environment variable ``tokenVariable`` is read.
    public var tokenFile: String?

    /// The environment variable that holds the bearer token where no file is named.
    public static let tokenVariable = "DISAGG_ADMIN_TOKEN"

    /// Creates the defaults.
    public init() {}
}

extension ProxySettings {
    /// Where the admin listener listens; nil where there is none.
    public var adminEndpoint: Endpoint? {
        guard admin.isEnabled else { return nil }
        if let listen = admin.listen { return listen }
        // A proxy on a port that the system chooses has an admin port that the system chooses.
        return Endpoint(host: "127.0.0.1", port: (1..<65535).contains(listen.port) ? listen.port + 1 : 0)
    }
}
