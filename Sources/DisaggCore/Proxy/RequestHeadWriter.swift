internal import HTTPTypes
internal import NIOCore

/// Writes the request heads of a request's legs; what both legs share is rendered once.
struct RequestHeadWriter {
    /// `name: value\r\n` lines of the client's fields that go to the engines, and at their end the request id's.
    private let shared: ByteBuffer
    /// Bytes of the request id's line.
    private let idLineBytes: Int

    /// Renders the shared fields.
    ///
    /// - Parameter requestID: value of `X-Request-Id`; engines take it as the id of their answer.
    init(_ headers: HeaderBlock, requestID: String) {
        var lines = ByteBuffer()
        lines.reserveCapacity(headers.byteCount + requestID.utf8.count + 64)
        headers.writeForwarded(to: &lines, where: HeaderPolicy.forwardsRequestField)
        let withoutID = lines.readableBytes
        lines.writeStaticString("x-request-id: ")
        lines.writeString(requestID)
        lines.writeStaticString("\r\n")
        idLineBytes = lines.readableBytes - withoutID
        shared = lines
    }

    /// The head of a hand-off's leg.
    func head(of leg: LegRequest, to backend: BackendState) -> ByteBuffer {
        var lines = ByteBuffer()
        if let id = leg.requestID { lines.writeString("x-request-id: \(id)\r\n") }
        if let rank = leg.dataParallelRank { lines.writeString("x-data-parallel-rank: \(rank)\r\n") }
        if let prefiller = leg.prefiller { lines.writeString("x-prefiller-host-port: \(prefiller)\r\n") }
        return head(
            method: .post, target: leg.path, backend: backend, bodyBytes: leg.bodyBytes, lines: lines,
            hasOwnID: leg.requestID != nil)
    }

    /// A head.
    ///
    /// - Parameters:
    ///   - lines: further fields.
    ///   - hasOwnID: whether they replace the request id.
    func head(
        method: HTTPRequest.Method, target: String, backend: BackendState, bodyBytes: Int?,
        lines: ByteBuffer = ByteBuffer(), hasOwnID: Bool = false
    ) -> ByteBuffer {
        var head = ByteBuffer()
        head.reserveCapacity(shared.readableBytes + lines.readableBytes + 160)
        head.writeString(method.rawValue)
        head.writeStaticString(" ")
        head.writeString(target)
        head.writeStaticString(" HTTP/1.1\r\nhost: ")
        head.writeString(backend.authority)
        head.writeStaticString("\r\n")
        if hasOwnID, let others = shared.getSlice(at: 0, length: shared.readableBytes - idLineBytes) {
            head.writeImmutableBuffer(others)
        } else {
            head.writeImmutableBuffer(shared)
        }
        if lines.readableBytes > 0 { head.writeImmutableBuffer(lines) }
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
