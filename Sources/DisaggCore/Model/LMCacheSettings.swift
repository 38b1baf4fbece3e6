/// What the generated LMCache files say.
public struct LMCacheSettings: Sendable, Hashable {
    /// The version whose files are written; the installed one, or the newest known, where nil.
    public var version: LMCacheVersion?
    /// `pd_backend_mode`; `async` where the version has it and this is nil.
    public var backend: LMCacheBackendMode?
    /// Tokens in one KV chunk (`chunk_size`), the same on every engine.
    public var chunkSize = 256
    /// `pd_buffer_size` of a prefill engine, in bytes a rank; sized from the model where nil.
    public var prefillBufferBytes: Int?
    /// `pd_buffer_size` of a decode engine, in bytes a rank; sized from the model where nil.
    public var decodeBufferBytes: Int?
    /// Where the buffers are.
    public var bufferDevice = BufferDevice.cuda
    /// Longest prompt that is handed over, in tokens (`pd_max_prefill_len`); the context length, at most 16384, where
    /// nil.
    public var maximumPrefillTokens: Int?
    /// Prompts of the longest kind whose KV may be on the way to one decoder at the same time; sizes its buffer.
    public var concurrency = 2
    /// How long an engine waits for room in a buffer (`pd_allocation_timeout_sec`); LMCache's default is for ever.
    public var allocationTimeout = Duration.seconds(10)
    /// `pre_caching_hash_algorithm`, the same on every engine.
    public var hashAlgorithm = "builtin"
    /// Whether the engines of the `lmcache-mp` hand-off were started so that they can serve either role: vLLM's
    /// `kv_role: kv_both`, and LMCache's request telemetry.
    public var enginesChangeRoles = false
    /// Only rank 0 stores KV: true for MLA models.
    public var storesOnFirstRankOnly = false
    /// Storage beside the PD buffers.
    public var tiers = LMCacheTiers()
    /// Address of the `lmcache server` of the `lmcache-mp` hand-off.
    public var server = Endpoint(host: "127.0.0.1", port: 5555)

    /// Creates the defaults.
    public init() {}

    /// Memory that holds a PD buffer.
    public enum BufferDevice: String, Sendable, Hashable, CaseIterable {
        /// The GPU's, outside of vLLM's share of it.
        case cuda
        /// The host's, pinned.
        case cpu
    }

    /// The backend in force for a version.
    public func backend(in version: LMCacheVersion) -> LMCacheBackendMode {
        version.hasAsyncBackend ? backend ?? .async : .sync
    }
}

/// Storage that keeps KV beside the hand-off: host memory, disk, a remote store.
public struct LMCacheTiers: Sendable, Hashable {
    /// Pinned host memory in bytes a rank (`max_local_cpu_size`); 0 for none.
    public var cpuBytes = 0
    /// Directory of the disk tier (`local_disk`).
    public var diskPath: String?
    /// Size of the disk tier in bytes (`max_local_disk_size`).
    public var diskBytes = 0
    /// Address of a remote store, for example `redis://cache:6379` (`remote_url`).
    public var remoteURL: String?

    /// No tiers.
    public init() {}

    /// Whether there is any tier.
    public var isEmpty: Bool { cpuBytes == 0 && diskPath == nil && remoteURL == nil }
}
