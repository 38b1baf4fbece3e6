internal import HTTPTypes
internal import NIOCore

/// Writes the request heads of a request's legs; what both legs share is rendered once.
struct RequestHeadWriter {
    /// `name: value\r\n` lines of the client's fields that go to the engines, and the request id.
    private let shared: ByteBuffer

    /// Renders the shared fields.
    ///
    /// - Parameter requestID: value of `X-Request-Id`; engines take it as the id of their answer.
    init(_ headers: HeaderBlock, requestID: String) {
        var lines = ByteBuffer()
        lines.reserveCapacity(headers.byteCount + requestID.utf8.count + 64)
        headers.writeForwarded(to: &lines, where: HeaderPolicy.forwardsRequestField)
        lines.writeStaticString("x-request-id: ")
        lines.writeString(requestID)
        lines.writeStaticString("\r\n")
        shared = lines
    }

    /// The head of one leg.
    func head(method: HTTPRequest.Method, target: String, backend: BackendState, bodyBytes: Int?) -> ByteBuffer {
        var head = ByteBuffer()
        head.reserveCapacity(shared.readableBytes + 160)
        head.writeString(method.rawValue)
        head.writeStaticString(" ")
        head.writeString(target)
        head.writeStaticString(" HTTP/1.1\r\nhost: ")
        head.writeString(backend.authority)
        head.writeStaticString("\r\n")
        head.writeImmutableBuffer(shared)
        if let bodyBytes {
            head.writeStaticString("content-length: ")
            head.writeString(String(bodyBytes))
            head.writeStaticString("\r\n")
        }
        head.writeStaticString("\r\n")
        return head
    }

    /// The client's own id where it is harmless in a header and in an id, else a fresh one.
    static func requestID(_ headers: HeaderBlock, using generator: inout some RandomNumberGenerator, loop: Int)
        -> String
    {
        if let own = headers.first("x-request-id"), (1...128).contains(own.utf8.count),
            own.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        {
            return own
        }
        return RequestID(loop: loop, using: &generator).description
    }
}
