/// When the remote prefill is skipped because it would not pay: the decoder then computes the prompt itself.
///
/// Every rule is off until it is configured. None is ever applied to a hand-off whose decoders cannot prefill.
public struct ConditionalSettings: Sendable, Hashable {
    /// A prompt of fewer tokens is not handed off; 0 turns the rule off.
    ///
    /// Prompts given as ids are counted; others are estimated from their bytes and ``bytesPerToken``.
    public var minimumPromptTokens = 0
    /// Bytes of JSON text that are taken for one token where a prompt is no list of ids.
    public var bytesPerToken = 4.0
    /// A prompt of which the decoder lacks fewer tokens than this is not handed off; 0 turns the rule off.
    public var minimumUncachedTokens = 0
    /// With at least this many requests at the prefill engine, an idle decoder serves alone; nil turns the rule off.
    public var prefillQueue: Int?
    /// A decoder with at most this many requests counts as idle for ``prefillQueue``.
    public var idleDecodeRequests = 0

    /// Creates the defaults: everything is handed off.
    public init() {}

    /// Whether any rule is on.
    public var isOn: Bool { minimumPromptTokens > 0 || minimumUncachedTokens > 0 || prefillQueue != nil }
}
