package import NIOCore

/// How an answer's body reaches the client.
package enum SinkFraming: Sendable, Equatable {
    /// No body.
    case none
    /// That many bytes.
    case length(Int)
    /// The bytes written carry chunk framing already.
    case rawChunked
    /// Payload of unknown length; the sink frames it as its client needs.
    case stream
}

/// Where one request's answer goes: a client's socket, or an embedding server. Lives on one event loop.
package class ResponseSink {
    /// Bytes of the answer's body so far, chunk framing that passed through included.
    package final var bodyBytes = 0

    /// Whether chunk framing can pass through as it is.
    package var takesRawChunks: Bool { false }

    init() {}

    /// Begins the answer.
    ///
    /// - Parameters:
    ///   - status: the HTTP status.
    ///   - lines: header fields without framing fields, as `name: value\r\n` lines.
    ///   - framing: how the body will come.
    package func begin(status: Int, lines: ByteBuffer, framing: SinkFraming) {}
    /// Writes bytes of the body.
    package func write(_ bytes: ByteBuffer) {}
    /// Writes bytes of the body that are gone after the call, and sends what was written.
    package func relay(_ bytes: UnsafeRawBufferPointer) {
        write(ByteBuffer(bytes: bytes))
        flush()
    }
    /// Sends what was written.
    package func flush() {}
    /// Ends the answer; sends what was written.
    package func end() {}
    /// Ends an answer that cannot be completed: the client must see that it is broken.
    package func abort() {}

    /// A whole answer with a JSON body.
    package final func respond(status: Int, extraLines: String = "", json: ByteBuffer) {
        respond(status: status, lines: "content-type: application/json\r\n" + extraLines, body: json)
    }

    /// A whole answer.
    package final func respond(status: Int, lines: String, body: ByteBuffer) {
        begin(status: status, lines: ByteBuffer(string: lines), framing: .length(body.readableBytes))
        if body.readableBytes > 0 { write(body) }
        end()
    }

    /// A whole answer that is an error.
    package final func respond(_ error: DisaggError, extraLines: String = "") {
        respond(status: error.code.statusCode, extraLines: extraLines, json: error.openAIBody)
    }
}

/// A request being served; the client's side of it.
package protocol RequestInFlight: AnyObject {
    /// The client left; nothing can be written any more.
    func clientGone()
    /// The client can take bytes, or cannot for now.
    func clientIsWritable(_ isWritable: Bool)
}
