package import NIOCore

/// Looks into a decoder's answer on its way to the client, and may change it.
///
/// Most answers have none and pass through raw; this is for modes that must know or hide something in it. Lives on one event
/// loop.
package class AnswerRewriter {
    init() {}

    /// Appends one event of a stream as the client shall see it.
    ///
    /// - Parameter data: the event's data, gone after the call.
    package func writeEvent(_ data: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        output.writeStaticString("data: ")
        output.writeBytes(data)
        output.writeStaticString("\n\n")
    }

    /// An answer in one piece as the client shall see it.
    package func rewritten(_ body: ByteBuffer) -> ByteBuffer { body }
}
