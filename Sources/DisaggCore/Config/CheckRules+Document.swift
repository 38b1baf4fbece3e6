extension CheckRules {
    /// The rules for one LMCache file.
    mutating func checkDocument(_ engine: CheckedSet.Engine) {
        guard let document = engine.document else { return }
        for note in document.notes {
            let place = note.mark.map { "\(document.fileName):\($0.line):\($0.column)" } ?? engine.name
            find(note.check, place, "\(note.key): \(note.message)")
        }
        switch subject.handoff {
        case .lmcache where subject.lmcacheVersion.generation == .pd: checkPD(engine, document)
        case .lmcache: checkXpYd(engine, document)
        case .lmcacheLegacy: checkLegacy(engine, document)
        default: break
        }
        checkStorage(engine, document)
    }

    // MARK: - Generation C

    private mutating func checkPD(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        guard document.bool("enable_pd") else {
            return find(.pdOff, place(engine, "enable_pd"), "enable_pd is not true: nothing is handed over")
        }
        for key in ["pd_role", "pd_buffer_size", "pd_buffer_device"] where !document.has(key) {
            find(.pdRequired, place(engine, key), "\(key) is missing")
        }
        let isSync = checkMode(engine, document)
        if document.bool("enable_p2p") { find(.pdWithP2P, place(engine, "enable_p2p"), "enable_p2p is true") }
        let channel = document.text("transfer_channel")
        if channel != "nixl" {
            find(
                .pdChannel, place(engine, "transfer_channel"),
                "transfer_channel is \(channel.map { "\"\($0)\"" } ?? "missing")")
        }
        switch document.text("pd_role") {
        case "sender": checkSender(engine, document, isSync: isSync)
        case "receiver": checkReceiver(engine, document)
        case "both" where isSync: checkBoth(engine, document)
        case let role?: find(.pdRole, place(engine, "pd_role"), "pd_role is \"\(role)\"")
        case nil: break
        }
        checkRoleFits(engine, document.text("pd_role"))
        if document.has("save_unfull_chunk"), !document.bool("save_unfull_chunk") {
            find(.pdUnfullChunks, place(engine, "save_unfull_chunk"), "save_unfull_chunk is false")
        }
        if document.bool("use_layerwise") {
            find(.pdLayerwise, place(engine, "use_layerwise"), "use_layerwise is true")
        }
        if document.bool("enable_async_loading") {
            find(.pdAsyncLoading, place(engine, "enable_async_loading"), "enable_async_loading is true")
        }
        if document.bool("pd_skip_proxy_notification") {
            find(
                .pdSkipNotification, place(engine, "pd_skip_proxy_notification"), "pd_skip_proxy_notification is true")
        }
        if !isSync, subject.lmcacheVersion.hasAsyncBackend {
            for key in ["pd_bidirectional", "pd_peer_query_port"]
            where document.bool(key) || document.integers(key) != nil {
                find(.pdAsyncIgnores, place(engine, key), "\(key) has no effect with the async backend")
            }
            let timeout = document.number("pd_allocation_timeout_sec")
            if timeout?.isFinite != true {
                find(.pdAllocationTimeout, place(engine, "pd_allocation_timeout_sec"), "it is not set to a finite time")
            }
        }
        checkRetrieval(engine, document)
        checkBuffer(engine, document, key: "pd_buffer_size")
    }

    /// Checks the backend's name; the result is whether the sync backend is in force.
    private mutating func checkMode(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) -> Bool {
        guard subject.lmcacheVersion.hasAsyncBackend else { return true }
        guard document.values["pd_backend_mode"] != nil else { return false }
        let mode = document.text("pd_backend_mode")
        if mode.flatMap(LMCacheBackendMode.init(rawValue:)) == nil {
            find(.pdBackendMode, place(engine, "pd_backend_mode"), "pd_backend_mode is \(mode ?? "nothing")")
        }
        return mode == "sync"
    }

    private mutating func checkRoleFits(_ engine: CheckedSet.Engine, _ role: String?) {
        guard let role, let wanted = engine.role else { return }
        let expected = wanted == .prefill ? "sender" : "receiver"
        if role != expected, !(role == "both" && wanted == .prefill), ["sender", "receiver", "both"].contains(role) {
            find(.pdRole, place(engine, "pd_role"), "a \(wanted.rawValue) engine is a \(expected), got \(role)")
        }
    }

    /// A prefill engine that sends, and asks decode engines what they hold. It binds nothing, so nobody can send to it.
    private mutating func checkBoth(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        checkSender(engine, document, isSync: true)
        checkPeer(engine, document)
        checkPortCount(engine, document, ["pd_peer_query_port"])
    }

    private mutating func checkSender(_ engine: CheckedSet.Engine, _ document: LMCacheDocument, isSync: Bool) {
        let waived = isSync && document.bool("pd_skip_proxy_notification")
        for key in ["pd_proxy_host", "pd_proxy_port"] where !document.has(key) && !waived {
            find(.pdProxyAddress, place(engine, key), "\(key) is missing")
        }
        if let host = document.text("pd_proxy_host"), host.contains(":") {
            find(.notifyIPv6, place(engine, "pd_proxy_host"), "\(host) is an IPv6 address")
        }
    }

    private mutating func checkReceiver(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        checkPeer(engine, document)
        if document.text("store_location") == "PDBackend" {
            find(.pdStoreLocation, place(engine, "store_location"), "store_location is PDBackend")
        }
        if let locations = document.texts("retrieve_locations"), locations != ["PDBackend"] {
            find(
                .pdRetrieveLocations, place(engine, "retrieve_locations"),
                "retrieve_locations is [\(locations.joined(separator: ", "))]")
        }
    }

    private mutating func checkPeer(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        let ports = ["pd_peer_init_port", "pd_peer_alloc_port"]
        for key in ["pd_peer_host"] + ports where !document.has(key) {
            find(.pdReceiverAddress, place(engine, key), "\(key) is missing")
        }
        checkPortCount(engine, document, ports)
    }

    private mutating func checkPortCount(_ engine: CheckedSet.Engine, _ document: LMCacheDocument, _ keys: [String]) {
        for key in keys {
            guard let ports = document.integers(key) else { continue }
            if let world = engine.worldSize, ports.count < world {
                find(.pdPortsPerRank, place(engine, key), "\(key) has \(ports.count) ports for \(world) ranks")
            }
            if let port = ports.first(where: { !(1...65535).contains($0) }) {
                find(.pdPortsPerRank, place(engine, key), "\(key): \(port) is no port")
            }
        }
    }

    private mutating func checkRetrieval(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        guard let tokens = document.integer("min_retrieve_tokens") else { return }
        if tokens < 0 || tokens > 0 && engine.role != .prefill {
            find(.minRetrieveTokens, place(engine, "min_retrieve_tokens"), "min_retrieve_tokens is \(tokens)")
        }
    }

    // MARK: - Generations B and A

    private mutating func checkXpYd(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        guard document.bool("enable_nixl"), document.bool("enable_xpyd") else {
            return find(.pdOff, place(engine, "enable_xpyd"), "enable_nixl and enable_xpyd are not both true")
        }
        checkNixlRole(engine, document)
        let keys =
            document.text("nixl_role") == "sender"
            ? ["nixl_proxy_host", "nixl_proxy_port"]
            : ["nixl_peer_host", "nixl_peer_init_port", "nixl_peer_alloc_port"]
        for key in keys where !document.has(key) {
            find(
                document.text("nixl_role") == "sender" ? .pdProxyAddress : .pdReceiverAddress, place(engine, key),
                "\(key) is missing")
        }
        checkPortCount(engine, document, ["nixl_peer_init_port", "nixl_peer_alloc_port"])
        checkBuffer(engine, document, key: "nixl_buffer_size")
    }

    private mutating func checkLegacy(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        guard subject.lmcacheVersion.generation != .pd else { return }
        guard document.bool("enable_nixl") else {
            return find(.pdOff, place(engine, "enable_nixl"), "enable_nixl is not true: nothing is handed over")
        }
        checkNixlRole(engine, document)
        for key in ["nixl_receiver_host", "nixl_receiver_port"] where !document.has(key) {
            find(.pdReceiverAddress, place(engine, key), "\(key) is missing")
        }
        if subject.lmcacheVersion.generation == .nixlPipe {
            if document.bool("local_cpu", default: true) || (document.number("max_local_cpu_size") ?? 5) != 0
                || document.has("local_disk") || document.has("remote_url") || document.bool("save_decode_cache")
            {
                find(
                    .legacyStorage, place(engine, "local_cpu"),
                    "local_cpu must be false, max_local_cpu_size 0, and no other storage set")
            }
        }
        checkBuffer(engine, document, key: "nixl_buffer_size")
    }

    private mutating func checkNixlRole(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        for key in ["nixl_role", "nixl_buffer_size", "nixl_buffer_device"] where !document.has(key) {
            find(.pdRequired, place(engine, key), "\(key) is missing")
        }
        if let role = document.text("nixl_role"), !["sender", "receiver"].contains(role) {
            find(.pdRole, place(engine, "nixl_role"), "nixl_role is \"\(role)\"")
        }
        checkRoleFits(engine, document.text("nixl_role"))
    }

    // MARK: - Buffers

    private mutating func checkBuffer(_ engine: CheckedSet.Engine, _ document: LMCacheDocument, key: String) {
        guard let bytes = document.integer(key) else { return }
        let tokensPerChunk = document.integer("chunk_size") ?? 256
        guard let shape = subject.shape, tokensPerChunk > 0, tokensPerChunk <= 1 << 20 else {
            // Once for all engines: they have the same model.
            guard !findings.contains(where: { $0.check == .modelShape }) else { return }
            let model = engine.arguments?.model.map { "of \($0) " } ?? ""
            return find(.modelShape, "model", "the shape \(model)is not known, so no buffer size can be checked")
        }
        let arguments = engine.arguments ?? EngineArguments([])
        let drafts = arguments.contains("speculative-config") ? max(1, shape.draftLayers) : 0
        let chunk =
            shape.kvBytesPerToken(
                tensorParallel: engine.tensorParallel ?? 1, pipelineParallel: engine.pipelineParallel ?? 1,
                valueBytes: LMCacheSizing.valueBytes(arguments), draftLayers: drafts) * tokensPerChunk
        guard chunk > 0 else { return }
        let pages = max(0, bytes) / chunk
        guard pages > 0 else {
            return find(.pdBufferChunk, place(engine, key), "\(bytes) bytes are less than a chunk of \(chunk)")
        }
        if bytes % chunk != 0, subject.lmcacheVersion < LMCacheVersion(0, 4, 3) {
            find(.pdBufferMultiple, place(engine, key), "\(bytes) is no multiple of \(chunk); \(pages * chunk) is")
        }
        let limit = document.integer("pd_max_prefill_len") ?? 0
        let capacity = pages * tokensPerChunk
        if limit > 0, capacity < limit {
            let needed = (limit + tokensPerChunk - 1) / tokensPerChunk * chunk
            find(
                .pdMaxPrefill, place(engine, key),
                "the buffer holds \(capacity) tokens, pd_max_prefill_len is \(limit); it needs \(needed) bytes")
        }
        switch engine.role {
        case .decode: checkReceiverBuffer(engine, document, key, limit: limit, capacity: capacity, chunk: chunk)
        case .prefill:
            let batched = arguments.integer("max-num-batched-tokens") ?? 8192
            let step = min(max(1, batched), limit > 0 ? limit : .max)
            if capacity < step {
                find(
                    .pdSenderStaging, place(engine, key),
                    "the buffer holds \(capacity) tokens, a step may store \(step)")
            }
        case nil: break
        }
    }

    private mutating func checkReceiverBuffer(
        _ engine: CheckedSet.Engine, _ document: LMCacheDocument, _ key: String, limit: Int, capacity: Int, chunk: Int
    ) {
        if limit == 0, subject.lmcacheVersion.hasAsyncBackend, document.text("pd_backend_mode") != "sync" {
            find(.pdMaxPrefillUnset, place(engine, "pd_max_prefill_len"), "pd_max_prefill_len is not set")
        }
        let context = engine.arguments?.integer("max-model-len")
        let longest = limit > 0 ? min(limit, context ?? limit) : context
        guard let longest else { return }
        if capacity < longest, limit == 0 {
            find(
                .pdBufferPrompt, place(engine, key),
                "the buffer holds \(capacity) tokens, a prompt may have \(longest)")
        } else if capacity < longest.multipliedReportingOverflow(by: 2).partialValue {
            find(
                .pdBufferConcurrency, place(engine, key),
                "the buffer holds \(capacity) tokens: one prompt of \(longest) tokens at a time")
        }
    }

    // MARK: - Other storage

    private mutating func checkStorage(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        let isRemote = document.has("remote_url") || document.texts("remote_storage_plugins")?.isEmpty == false
        let isDisk = document.has("local_disk") && (document.number("max_local_disk_size") ?? 0) > 0
        let hasCPU = document.bool("local_cpu", default: true) && (document.number("max_local_cpu_size") ?? 5) > 0
        let isPDFile = document.bool("enable_pd") || document.bool("enable_nixl")
        if isRemote || isDisk, !hasCPU, isPDFile || document.has("local_cpu") {
            find(
                .tiersNeedCPU, place(engine, isRemote ? "remote_url" : "local_disk"),
                "local_cpu is off or max_local_cpu_size is 0")
        }
        if isPDFile, subject.lmcacheVersion.generation != .nixlPipe, subject.lmcacheVersion < LMCacheVersion(0, 4, 2) {
            for key in ["remote_url", "save_decode_cache"]
            where document.has(key) && document.values[key] != .bool(false) {
                find(.tiersVersion, place(engine, key), "LMCache \(subject.lmcacheVersion) refuses \(key) beside PD")
            }
        }
        if subject.shape?.isLatent == true, isRemote, let serde = document.text("remote_serde"), serde != "naive" {
            find(.mlaSerde, place(engine, "remote_serde"), "remote_serde is \(serde)")
        }
        if engine.role == .decode, (engine.transfer?.role ?? "kv_consumer") == "kv_consumer" {
            for key in ["store_location", "save_decode_cache"]
            where document.has(key) && document.values[key] != .bool(false) {
                find(.tiersConsumer, place(engine, key), "\(key) has no effect with kv_role kv_consumer")
            }
        }
        checkController(engine, document)
        checkNixlStorage(engine, document)
    }

    private mutating func checkController(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        if document.bool("enable_controller"), subject.lmcacheVersion.generation == .pd {
            let keys = ["lmcache_instance_id", "controller_pull_url", "controller_reply_url", "lmcache_worker_ports"]
            for key in keys where !document.has(key) {
                find(.controllerIncomplete, place(engine, "enable_controller"), "\(key) is missing")
            }
        }
        if document.bool("enable_p2p"), subject.lmcacheVersion.generation == .pd {
            for key in ["enable_controller", "p2p_host", "p2p_init_ports", "p2p_lookup_ports", "transfer_channel"]
            where !document.has(key) || document.values[key] == .bool(false) {
                find(.p2pIncomplete, place(engine, "enable_p2p"), "\(key) is missing")
            }
        }
    }

    private mutating func checkNixlStorage(_ engine: CheckedSet.Engine, _ document: LMCacheDocument) {
        guard let enabled = document.extra("enable_nixl_storage"), enabled != .bool(false), enabled != .null else {
            return
        }
        let place = place(engine, "extra_config")
        for name in ["nixl_backend", "nixl_pool_size"] where document.extra(name) == nil {
            find(.nixlStorage, place, "extra_config.\(name) is missing")
        }
        switch document.text("nixl_buffer_device") {
        case nil: find(.nixlStorage, place, "nixl_buffer_device is missing")
        case "cpu":
            if document.has("nixl_buffer_size") {
                find(.nixlStorage, place, "nixl_buffer_size is set although nixl_buffer_device is cpu")
            }
            if (document.number("max_local_cpu_size") ?? 5) <= 0 {
                find(.nixlStorage, place, "max_local_cpu_size is 0 although nixl_buffer_device is cpu")
            }
        default:
            if !document.has("nixl_buffer_size") { find(.nixlStorage, place, "nixl_buffer_size is missing") }
        }
    }
}
