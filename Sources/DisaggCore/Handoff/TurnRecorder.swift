package import NIOCore

/// Takes the parameters out of a NIXL decoder's answer that the conversation's next turn may use.
///
/// They stand in the answer, or in the chunk with the finish reason. They are not the client's business: they name engines
/// inside, so they are taken out whether anybody keeps them or not.
package final class TurnRecorder: AnswerRewriter {
    private let keep: (ByteBuffer) -> Void

    /// Creates a recorder.
    ///
    /// - Parameter keep: gets the parameters as they came, once.
    package init(keep: @escaping (ByteBuffer) -> Void) { self.keep = keep }

    package override func writeEvent(_ data: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
        guard let parameters = Self.parameters(in: data) else { return super.writeEvent(data, to: &output) }
        keep(parameters)
        var splice = JSONSplice()
        splice.remove("kv_transfer_params")
        guard let rest = splice.applied(to: ByteBuffer(bytes: data)) else { return }
        rest.withUnsafeReadableBytes { super.writeEvent($0, to: &output) }
    }

    package override func rewritten(_ body: ByteBuffer) -> ByteBuffer {
        guard let parameters = body.withUnsafeReadableBytes({ Self.parameters(in: $0) }) else { return body }
        keep(parameters)
        var splice = JSONSplice()
        splice.set("kv_transfer_params", literal: "null")
        return splice.applied(to: body) ?? body
    }

    /// The top-level `kv_transfer_params`, where it is an object.
    private static func parameters(in bytes: UnsafeRawBufferPointer) -> ByteBuffer? {
        var cursor = JSONCursor(bytes)
        guard cursor.openObject() else { return nil }
        var found: Range<Int>?
        while let name = try? cursor.nextName() {
            let isObject = cursor.isAt(UInt8(ascii: "{"))
            guard let value = try? cursor.skipValue() else { return nil }
            if name.is("kv_transfer_params") { found = isObject ? value : nil }
        }
        return found.map { ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[$0])) }
    }
}
