/// What the pair cost is made of; every default is a number measured on an H200 with Llama-3.1-8B where one is known.
public struct PairCostTunables: Sendable, Hashable {
    /// Tokens an answer is expected to have; a smaller limit of the client's counts instead.
    public var expectedTokens = 256
    /// How much the decode counts against prefill and transfer; 0 looks at the time to the first token alone.
    public var decodeWeight = 1.0
    /// Prompt tokens a prefill engine computes in a second, as long as none was observed.
    public var tokensPerSecond = 35_000.0
    /// Seconds between two tokens of a lone stream, as long as none was observed.
    public var secondsPerToken = 0.005
    /// Part by which one more running request slows a decode step: 4.9 ms with one, 10.7 ms with 128.
    public var slowdownPerRequest = 0.0095
    /// Part of the KV cache in use from which a decoder is under pressure, 0...1.
    public var cacheUsageLimit = 0.85
    /// Seconds to move the KV of one token within a topology group: 131 KB over NVLink.
    public var secondsPerTokenWithin = 0.000_000_5
    /// Seconds to move the KV of one token between groups: 131 KB over 200 Gb/s.
    public var secondsPerTokenAcross = 0.000_005
    /// What a cached token is worth, 1 is the time that it saves now: 2 keeps conversations together, and under load still
    /// lets them go.
    public var cachedTokenWorth = 2.0
    /// Most prompt blocks remembered, of all prompts together; each takes 40 bytes.
    public var maximumBlocks = 262_144
    /// How long a prefill engine is thought to keep a block.
    public var lifetime = Duration.seconds(300)

    /// Creates the defaults.
    public init() {}
}
