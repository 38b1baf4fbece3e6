/// The name of a check: what `disagg-launch check` prints in brackets, and the heading in Docs/Checks.md.
///
/// Names are kept once they have been released: scripts look for them.
package enum CheckID: String, Sendable, Hashable, CaseIterable {
    // Reading LMCache files.
    case lmcacheSyntax = "lmcache-syntax"
    case lmcacheUnknownKey = "lmcache-unknown-key"
    case lmcacheDeadKey = "lmcache-dead-key"
    case lmcacheOtherVersionKey = "lmcache-other-version-key"
    case lmcacheValueType = "lmcache-value-type"
    case lmcacheBoolText = "lmcache-bool-text"
    case lmcacheOctal = "lmcache-octal"
    case lmcacheEnvironment = "lmcache-environment"
    case lmcacheOverride = "lmcache-override"
    case lmcacheForceSkipSave = "lmcache-force-skip-save"
    // One engine's hand-off.
    case pdOff = "pd-off"
    case pdRequired = "pd-required"
    case pdRole = "pd-role"
    case pdBackendMode = "pd-backend-mode"
    case pdWithP2P = "pd-with-p2p"
    case pdChannel = "pd-channel"
    case pdReceiverAddress = "pd-receiver-address"
    case pdProxyAddress = "pd-proxy-address"
    case pdPortsPerRank = "pd-ports-per-rank"
    case pdStoreLocation = "pd-store-location"
    case pdRetrieveLocations = "pd-retrieve-locations"
    case pdUnfullChunks = "pd-unfull-chunks"
    case pdLayerwise = "pd-layerwise"
    case pdAsyncLoading = "pd-async-loading"
    case pdSkipNotification = "pd-skip-notification"
    case pdAsyncIgnores = "pd-async-ignores"
    case minRetrieveTokens = "min-retrieve-tokens"
    // Buffers.
    case pdBufferChunk = "pd-buffer-chunk"
    case pdBufferMultiple = "pd-buffer-multiple"
    case pdBufferPrompt = "pd-buffer-prompt"
    case pdBufferConcurrency = "pd-buffer-concurrency"
    case pdMaxPrefill = "pd-max-prefill"
    case pdMaxPrefillUnset = "pd-max-prefill-unset"
    case pdSenderStaging = "pd-sender-staging"
    case pdAllocationTimeout = "pd-allocation-timeout"
    case modelShape = "model-shape"
    // Other storage.
    case tiersNeedCPU = "tiers-need-cpu"
    case tiersVersion = "tiers-version"
    case tiersConsumer = "tiers-consumer"
    case legacyStorage = "legacy-storage"
    case mlaSerde = "mla-serde"
    case controllerIncomplete = "controller-incomplete"
    case p2pIncomplete = "p2p-incomplete"
    case nixlStorage = "nixl-storage"
    // What must agree.
    case chunkSize = "chunk-size"
    case hashAlgorithm = "hash-algorithm"
    case hashSeed = "hash-seed"
    case modelDiffers = "model-differs"
    case modelAtSign = "model-at-sign"
    case kvType = "kv-type"
    case speculation = "speculation"
    case parallelism = "parallelism"
    case notifyAddress = "notify-address"
    case notifyIPv6 = "notify-ipv6"
    case loopback = "loopback"
    case peerHost = "peer-host"
    case decoderPorts = "decoder-ports"
    case decoderPortsOverlap = "decoder-ports-overlap"
    case portClash = "port-clash"
    case notificationCount = "notification-count"
    case proxyChunkSize = "proxy-chunk-size"
    // Engine arguments and environment.
    case kvConnector = "kv-connector"
    case kvRole = "kv-role"
    case kvTransferKeys = "kv-transfer-keys"
    case prefixCaching = "prefix-caching"
    case partialChunks = "partial-chunks"
    case skipLastTokens = "skip-last-tokens"
    case rpcPort = "rpc-port"
    case dataParallel = "data-parallel"
    case attentionHeads = "attention-heads"
    case ucxTransports = "ucx-transports"
    case workerStart = "worker-start"
    case removedVariable = "removed-variable"
    case requestIDs = "request-ids"
    case prefillExposed = "prefill-exposed"
    case restartCoupling = "restart-coupling"
    case exampleProxy = "example-proxy"
    case decodeBeforeKV = "decode-before-kv"
    // Versions.
    case versionGeneration = "version-generation"
    case versionSharedPrefix = "version-shared-prefix"
    case versionHash = "version-hash"
    case versionOversized = "version-oversized"
    case versionPartialDeadlock = "version-partial-deadlock"
    case versionNIXL = "version-nixl"
    case pythonDiffers = "python-differs"
    // This machine.
    case portTaken = "port-taken"
    case programMissing = "program-missing"
    case packageMissing = "package-missing"
    case gpuMissing = "gpu-missing"
    case gpuShared = "gpu-shared"
    case gpuBusy = "gpu-busy"
    case gpuMemory = "gpu-memory"
    case gpuRoom = "gpu-room"
    case gpuLink = "gpu-link"
    case driver = "driver"
    case nixlCUDA = "nixl-cuda"
    case gatedModel = "gated-model"
    case weightsDisk = "weights-disk"
    case modelFiles = "model-files"
    case openFiles = "open-files"
    case lockedMemory = "locked-memory"
    case sharedMemory = "shared-memory"
    case hostMemory = "host-memory"
    case temporaryPath = "temporary-path"
    case hostName = "host-name"
    // Running engines.
    case engineUnreachable = "engine-unreachable"
    case engineVersion = "engine-version"
    case servedModel = "served-model"
    case pdDegraded = "pd-degraded"
    case pdNotBound = "pd-not-bound"
    case runningSeed = "running-seed"
    case logProblem = "log-problem"
    case proxyNotListening = "proxy-not-listening"
}

/// How bad a finding is.
package enum CheckSeverity: String, Sendable, Hashable, CaseIterable, Comparable {
    /// It will not work, or not rightly: `up` stops.
    case error
    /// It works, but can hang, be slow, or break on the next change.
    case warning
    /// Worth knowing.
    case info

    private var rank: Int { self == .error ? 0 : self == .warning ? 1 : 2 }

    /// Errors first.
    package static func < (left: CheckSeverity, right: CheckSeverity) -> Bool { left.rank < right.rank }
}

/// One check: what it looks at, why, and what to do.
package struct Check: Sendable, Hashable {
    /// Its name.
    package var id: CheckID
    /// How bad it is where it fails.
    package var severity: CheckSeverity
    /// What must hold, in one line.
    package var rule: String
    /// What happens otherwise, and how it shows.
    package var why: String
    /// What to do.
    package var fix: String
    /// Issues of LMCache (plain numbers) or others, and files, that the rule comes from.
    package var source: String

    init(_ id: CheckID, _ severity: CheckSeverity, _ rule: String, why: String, fix: String, source: String) {
        self.id = id
        self.severity = severity
        self.rule = rule
        self.why = why
        self.fix = fix
        self.source = source
    }
}

/// What a check found.
package struct CheckFinding: Sendable, Hashable {
    /// The check that failed.
    package var check: CheckID
    /// Where: a file with line and column, an engine, or an option.
    package var place: String
    /// What was found.
    package var message: String

    /// Describes a finding.
    package init(_ check: CheckID, _ place: String, _ message: String) {
        self.check = check
        self.place = place
        self.message = message
    }
}
