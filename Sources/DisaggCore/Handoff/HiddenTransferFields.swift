internal import NIOCore

/// Where else than in `kv_transfer_params` a client could tell vLLM's engine what to transfer.
///
/// Both places become the sampling parameters' `extra_args`, of which the engine takes `kv_transfer_params`: as an object it
/// names hosts to connect to, as anything else the scheduler fails on it and the engine dies. The server's own field is put
/// over it, but not every leg has one. Source: vLLM 0.33.0 `openai/chat_completion/protocol.py` `to_sampling_params`,
/// `v1/request.py` `Request.__init__`, `sampling_params.py` `extra_args`.
enum HiddenTransferFields {
    /// Whether a body may have such a place, by a look at the names' lengths and first letters: nearly none does.
    static func mayBe(in body: ByteBuffer, _ table: JSONMemberTable) -> Bool {
        body.withUnsafeReadableBytes { bytes in
            table.members.contains { member in
                if member.nameHasEscapes { return true }
                let first = bytes[member.name.lowerBound + 1]
                // With its quotes.
                return switch member.name.count {
                case 12: first == UInt8(ascii: "v")
                case 17: first == UInt8(ascii: "s")
                default: false
                }
            }
        }
    }

    /// The body without them; nil where it has none.
    static func stripped(_ members: MemberReader) -> ByteBuffer? {
        var splice = JSONSplice()
        var isFound = false
        if let arguments = members.inner("vllm_xargs"), let kept = stripped(object: arguments) {
            isFound = true
            splice.set("vllm_xargs") { $0.write(kept) }
        }
        if let sampling = members.inner("sampling_params"), let arguments = sampling.inner("extra_args"),
            let kept = stripped(object: arguments)
        {
            isFound = true
            var inner = JSONSplice()
            inner.set("extra_args") { $0.write(kept) }
            if let kept = inner.applied(to: sampling.body) { splice.set("sampling_params") { $0.write(kept) } }
        }
        return isFound ? splice.applied(to: members.body) : nil
    }

    private static func stripped(object: MemberReader) -> ByteBuffer? {
        object.raw("kv_transfer_params") == nil ? nil : LegRewriting.stripping.applied(to: object.body)
    }
}
