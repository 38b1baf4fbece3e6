/// Tunables of the policy `prefix-cache`.
public struct PrefixCacheSettings: Sendable, Hashable {
    /// Most prompt blocks remembered, of all prompts together; each takes 40 bytes.
    public var maximumBlocks = 262_144
    /// How long an engine is thought to keep a block.
    public var lifetime = Duration.seconds(300)
    /// Part of the prompt that must be cached for it to count, 0...1.
    public var minimumShare = 0.1
    /// How far above the mean the load of a backend with a cached prefix may be.
    public var loadFactor = 1.5

    /// Creates the defaults.
    public init() {}
}
