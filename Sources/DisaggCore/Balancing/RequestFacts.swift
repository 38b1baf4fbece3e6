/// What a policy may know of a request. Only what the policy declared in ``LoadBalancingPolicy/needs`` is filled in.
public struct RequestFacts: Sendable {
    /// Prompt length in tokens: exact for token ids, estimated from bytes for text. With ``FactSet/tokens``.
    public var promptTokens = 0
    /// Tokens the client allows to be generated; nil where it set no limit. With ``FactSet/tokens``.
    public var outputLimit: Int?
    /// Hash of the session the request belongs to; nil where nothing tells. With ``FactSet/sessionKey``.
    public var sessionKey: UInt64?
    /// Chained hashes of the prompt's leading blocks, see ``PrefixBlocks``. With ``FactSet/prefixKeys``.
    public var prefixKeys: [UInt64] = []
    /// The prompt's token ids where the client sent ids, else empty. With ``FactSet/tokenIDs``.
    public var tokenIDs: [Int32] = []
    /// The model name the client asked for, where it is not the deployment's: a LoRA adapter. With ``FactSet/tokenIDs``.
    public var lora: String?
    /// What separates caches on one engine: model or LoRA name and `cache_salt`, hashed. With the two above.
    public var cacheNamespace: UInt64 = 0

    /// Creates facts that say nothing.
    public init() {}

    /// Forgets everything and keeps the memory of the lists.
    package mutating func reset() {
        promptTokens = 0
        outputLimit = nil
        sessionKey = nil
        prefixKeys.removeAll(keepingCapacity: true)
        tokenIDs.removeAll(keepingCapacity: true)
        lora = nil
        cacheNamespace = 0
    }
}
