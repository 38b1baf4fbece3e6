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
    /// - Parameters:
    ///   - requestID: value of `X-Request-Id`; engines take it as the id of their answer.
    ///   - names: fields that each leg gets its own of, in lower case.
    init(_ headers: HeaderBlock, requestID: String, without names: [String] = []) {
        var headers = headers
        if !names.isEmpty { headers.remove(names) }
        let idLine = Self.idName.utf8CodeUnitCount + requestID.utf8.count + 2
        shared = ByteBuffer.text(reserving: headers.byteCount + idLine) { lines in
            headers.writeForwarded(to: &lines, where: HeaderPolicy.forwardsRequestField)
            lines.write(Self.idName)
            lines.write(requestID)
            lines.write("\r\n")
        }
        idLineBytes = idLine
    }

    private static let idName: StaticString = "x-request-id: "

    /// The head of a hand-off's leg.
    ///
    /// - Parameter trace: the fields by which the engine joins the leg's trace.
    func head(
        of leg: LegRequest, to backend: BackendState, joining trace: [(name: String, value: String)] = []
    ) -> ByteBuffer {
        write(
            method: .post, target: leg.path, backend: backend, bodyBytes: leg.bodyBytes, hasOwnID: leg.requestID != nil
        ) { lines in
            for field in trace { Self.write(field.name, field.value, to: &lines) }
            if let id = leg.requestID { Self.write("x-request-id", id, to: &lines) }
            if let rank = leg.dataParallelRank { Self.write("x-data-parallel-rank", String(rank), to: &lines) }
            if let prefiller = leg.prefiller { Self.write("x-prefiller-host-port", prefiller, to: &lines) }
        }
    }

    /// A head.
    func head(method: HTTPRequest.Method, target: String, backend: BackendState, bodyBytes: Int?) -> ByteBuffer {
        write(method: method, target: target, backend: backend, bodyBytes: bodyBytes, hasOwnID: false) { _ in }
    }

    private static func write(_ name: String, _ value: String, to lines: inout TextWriter) {
        lines.write(name)
        lines.write(": ")
        lines.write(value)
        lines.write("\r\n")
    }

    /// - Parameters:
    ///   - hasOwnID: whether `lines` replace the request id.
    ///   - lines: writes further fields.
    @inline(__always)
    private func write(
        method: HTTPRequest.Method, target: String, backend: BackendState, bodyBytes: Int?, hasOwnID: Bool,
        lines: (inout TextWriter) -> Void
    ) -> ByteBuffer {
        ByteBuffer.text(reserving: shared.readableBytes + target.utf8.count + backend.authority.utf8.count + 160) {
            head in
            head.write(method.rawValue)
            head.write(" ")
            head.write(target)
            head.write(" HTTP/1.1\r\nhost: ")
            head.write(backend.authority)
            head.write("\r\n")
            shared.withUnsafeReadableBytes { shared in
                head.write(
                    UnsafeRawBufferPointer(rebasing: shared[..<(hasOwnID ? shared.count - idLineBytes : shared.count)]))
            }
            lines(&head)
            if let bodyBytes {
                head.write("content-length: ")
                head.writeDecimal(bodyBytes)
                head.write("\r\n")
            }
            head.write("\r\n")
        }
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
