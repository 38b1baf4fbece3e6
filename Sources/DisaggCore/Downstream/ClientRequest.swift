package import HTTPTypes
package import NIOCore
package import Tracing

/// One complete request of a client.
package struct ClientRequest {
    package var method: HTTPRequest.Method
    /// The request target in origin form, query included.
    package var target: String
    package var headers: HeaderBlock
    package var body: ByteBuffer
    /// The trace an embedding application is in; nil where the headers tell.
    package var trace: ServiceContext?

    package init(method: HTTPRequest.Method, target: String, headers: HeaderBlock, body: ByteBuffer) {
        self.method = method
        self.target = Self.originForm(target)
        self.headers = headers
        self.body = body
    }

    /// The target without scheme and authority: servers take `http://host/path` too (RFC 9112 §3.2.2).
    private static func originForm(_ target: String) -> String {
        guard target.utf8.first != UInt8(ascii: "/") else { return target }
        let lower = target.prefix(8).lowercased()
        guard lower.hasPrefix("http://") || lower == "https://" else { return target }
        let rest = target.dropFirst(lower == "https://" ? 8 : 7).drop { $0 != "/" && $0 != "?" }
        return rest.hasPrefix("/") ? String(rest) : "/" + rest
    }

    /// The target without its query.
    package var path: Substring { target[..<(target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)] }
}

/// Serves complete requests; one for each event loop.
package protocol ClientRequestHandler: AnyObject {
    /// Serves a request. The answer goes to the sink, at once or later.
    ///
    /// - Returns: what must hear of the client from now on; nil where the answer was given at once.
    func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)?
    /// Answers what never became a request that can be served: too large, too slow, or no HTTP.
    func refuse(_ error: DisaggError, to sink: ResponseSink)
    /// A client connected.
    func opened(_ connection: DownstreamConnection)
    /// A client's connection ended.
    func closed(_ connection: DownstreamConnection)
    /// Clients cannot be accepted because too many are connected: connections without a request may end.
    func makeRoom()
}

extension ClientRequestHandler {
    package func makeRoom() {}
}

/// Limits that hold for every client.
package struct DownstreamLimits: Sendable {
    /// Largest body, in bytes.
    package var bodyBytes: Int
    /// Largest head, in bytes.
    package var headBytes: Int
    /// From the first byte of a request to its last.
    package var readTimeout: TimeAmount
    /// Between requests.
    package var idleTimeout = TimeAmount.seconds(75)

    package init(bodyBytes: Int, headBytes: Int, readTimeout: TimeAmount) {
        self.bodyBytes = bodyBytes
        self.headBytes = headBytes
        self.readTimeout = readTimeout
    }
}
