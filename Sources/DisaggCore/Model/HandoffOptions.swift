/// Settings of the hand-off that only some protocols read.
public struct HandoffOptions: Sendable, Hashable {
    /// How `moriio` moves KV.
    public enum MoRIIOMode: String, Sendable, Hashable, CaseIterable {
        /// The decoder reads the prefill engine's blocks: one leg after the other (`read_mode: true`).
        case read
        /// The prefill engine writes into the decoder's blocks: both legs at once.
        case write
    }

    /// In which order `trtllm` schedules its legs.
    public enum TRTLLMStyle: String, Sendable, Hashable, CaseIterable {
        /// The context server answers first.
        case contextFirst = "context-first"
        /// The generation server is asked first, and waits for the context server.
        case generationFirst = "generation-first"
    }

    /// What becomes of a request whose prefill no engine can do.
    public enum Fallback: String, Sendable, Hashable, CaseIterable {
        /// A decoder serves it alone, where the decoder can.
        case decodeOnly = "decode-only"
        /// The client gets an error.
        case error
    }

    /// How `moriio` moves KV.
    public var moriioMode = MoRIIOMode.write
    /// In which order `trtllm` schedules its legs.
    public var trtllmStyle = TRTLLMStyle.contextFirst
    /// How long a NIXL prefill engine keeps finished blocks (`kv_lease_duration`).
    public var lease = Duration.seconds(30)
    /// Whether a NIXL conversation's next turn gets the parameters that its last one left at the decoder
    /// (`bidirectional_kv_xfer`).
    public var bidirectional = false
    /// How long a decoder keeps a turn's blocks (`decoder_kv_blocks_ttl`).
    public var turnLifetime = Duration.seconds(480)
    /// What becomes of a request whose prefill no engine can do.
    public var fallback = Fallback.decodeOnly
    /// Whether a greedy stream whose decoder dies goes on at another one.
    public var resume = false

    /// Creates the defaults.
    public init() {}
}
