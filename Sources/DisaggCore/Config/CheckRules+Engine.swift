extension CheckRules {
    /// The rules for one engine's arguments and environment.
    mutating func checkEngine(_ engine: CheckedSet.Engine) {
        if let arguments = engine.arguments, subject.isVLLM { checkArguments(engine, arguments) }
        if let environment = engine.environment { checkEnvironment(engine, environment) }
        if let arguments = engine.arguments { checkHost(engine, arguments) }
    }

    private mutating func checkArguments(_ engine: CheckedSet.Engine, _ arguments: EngineArguments) {
        if let shape = subject.shape, let size = engine.tensorParallel, size > 0, shape.attentionHeads % size != 0 {
            find(.attentionHeads, engine.name, "\(shape.attentionHeads) heads cannot be shared by \(size) ranks")
        }
        guard subject.handoff != .none else { return }
        checkTransfer(engine)
        guard isPD else { return }
        if let model = arguments.model, model.contains("@") {
            find(.modelAtSign, engine.name, "the model's name is \"\(model)\"")
        }
        if engine.role == .decode, arguments.isOn("enable-prefix-caching") != false {
            find(.prefixCaching, engine.name, "--no-enable-prefix-caching is missing")
        }
        if let size = arguments.integer("data-parallel-size", "dp"), size > 1 {
            find(.dataParallel, engine.name, "--data-parallel-size is \(size)")
        }
    }

    private mutating func checkTransfer(_ engine: CheckedSet.Engine) {
        guard let transfer = engine.transfer else {
            if let connector = KVConnector(subject.handoff)?.name {
                find(.kvConnector, engine.name, "--kv-transfer-config is missing; the hand-off needs \(connector)")
            }
            return
        }
        if let problem = transfer.problem { return find(.kvTransferKeys, engine.name, problem) }
        for key in ["kv_rank", "kv_parallel_size", "kv_buffer_size", "kv_ip"].filter(transfer.keys.contains)
        where subject.vllmVersion.map({ $0 >= LMCacheVersion(0, 24, 0) }) ?? true {
            find(.kvTransferKeys, engine.name, "\(key) is refused by current vLLM")
        }
        checkConnector(engine, transfer)
        guard isPD else { return }
        let wanted = engine.role == .prefill ? "kv_producer" : "kv_consumer"
        if let role = transfer.role, engine.role != nil, role != wanted {
            find(.kvRole, engine.name, "kv_role is \(role); a \(engine.role?.rawValue ?? "") engine is \(wanted)")
        }
        if transfer.extra["discard_partial_chunks"] != "false" {
            let found = transfer.extra["discard_partial_chunks"] ?? "missing"
            find(.partialChunks, engine.name, "discard_partial_chunks is \(found)")
        }
        for (name, _) in transfer.extra.sorted(by: { $0.key < $1.key }) where name.hasPrefix("lmcache.") {
            let key = String(name.dropFirst(8))
            if engine.document?.has(key) == true {
                find(.lmcacheOverride, engine.name, "\(name) replaces the file's value")
            }
        }
        guard engine.role == .decode, let source = subject.firstToken else { return }
        let expected = subject.handoff == .lmcache && source == .prefill ? "1" : "0"
        let found = transfer.extra["skip_last_n_tokens"] ?? "0"
        if found != expected {
            find(
                .skipLastTokens, engine.name,
                "skip_last_n_tokens is \(found); with the first token from \(source.rawValue) it must be \(expected)")
        }
    }

    private mutating func checkConnector(_ engine: CheckedSet.Engine, _ transfer: KVTransferView) {
        guard let wanted = KVConnector(subject.handoff) else { return }
        let found = transfer.connector ?? "missing"
        if !wanted.accepted.contains(found), found != "MultiConnector" {
            find(.kvConnector, engine.name, "kv_connector is \(found); the hand-off needs \(wanted.name)")
        }
        if let version = subject.vllmVersion, version >= LMCacheVersion(0, 33, 0),
            ["P2pNcclConnector", "SharedStorageConnector"].contains(found)
        {
            find(.kvConnector, engine.name, "vLLM \(version) has no \(found)")
        }
    }

    private mutating func checkEnvironment(_ engine: CheckedSet.Engine, _ environment: [String: String]) {
        if let text = environment["LMCACHE_FORCE_SKIP_SAVE"], !text.isEmpty {
            find(.lmcacheForceSkipSave, engine.name, "LMCACHE_FORCE_SKIP_SAVE=\(text)")
        }
        let usesUCX = isPD || connector == .nixl || connector == .nixlPush
        if usesUCX, let transports = environment["UCX_TLS"], transports != "all" {
            let list = transports.split(separator: ",").map(String.init)
            let hasCUDA = list.contains { $0.hasPrefix("cuda") } || list.contains("^tcp")
            if !hasCUDA, subject.isVLLM { find(.ucxTransports, engine.name, "UCX_TLS=\(transports)") }
        }
        if subject.isVLLM, let method = environment["VLLM_WORKER_MULTIPROC_METHOD"], method != "spawn" {
            find(.workerStart, engine.name, "VLLM_WORKER_MULTIPROC_METHOD=\(method)")
        }
        if environment["VLLM_NIXL_ABORT_REQUEST_TIMEOUT"] != nil,
            subject.vllmVersion.map({ $0 >= LMCacheVersion(0, 24, 0) }) ?? true
        {
            find(.removedVariable, engine.name, "VLLM_NIXL_ABORT_REQUEST_TIMEOUT is not read any more")
        }
        if environment["VLLM_KV_CACHE_LAYOUT"] == "HND",
            subject.vllmVersion.map({ $0 >= LMCacheVersion(0, 33, 0) }) ?? false
        {
            find(.removedVariable, engine.name, "VLLM_KV_CACHE_LAYOUT=HND must not be forced any more")
        }
        if connector == .p2pNCCL, environment["VLLM_DISABLE_REQUEST_ID_RANDOMIZATION"] != "1",
            subject.vllmVersion.map({ $0 >= LMCacheVersion(0, 14, 0) }) ?? true
        {
            find(.requestIDs, engine.name, "VLLM_DISABLE_REQUEST_ID_RANDOMIZATION is not 1")
        }
        let sideChannel = environment["VLLM_NIXL_SIDE_CHANNEL_HOST"]
        if connector == .nixl || connector == .nixlPush, subject.isMultiHost == true,
            Self.isLoopback(sideChannel ?? "localhost")
        {
            find(.loopback, engine.name, "VLLM_NIXL_SIDE_CHANNEL_HOST is \(sideChannel ?? "not set, so localhost")")
        }
    }

    private mutating func checkHost(_ engine: CheckedSet.Engine, _ arguments: EngineArguments) {
        guard isPD, engine.role == .prefill, subject.lmcacheVersion < LMCacheVersion(0, 5, 7),
            subject.handoff == .lmcache
        else { return }
        // vLLM listens on all addresses where --host is left out.
        let host = arguments.value("host") ?? "0.0.0.0"
        if ["0.0.0.0", "::", "*"].contains(host) {
            find(.prefillExposed, engine.name, "it listens on all addresses (\(host))")
        }
    }

    // MARK: - The proxy

    /// The rules for the proxy and the engines it names.
    mutating func checkProxy() {
        if subject.handoff == .plain {
            find(.decodeBeforeKV, "handoff", "nothing tells when the prefill's KV is stored")
        }
        checkRPCPorts()
        guard subject.handoff == .lmcache, let proxy = subject.proxy else { return }
        if proxy.isExample { find(.exampleProxy, proxy.name, "it is LMCache's disagg_proxy_server.py") }
        checkNotify(proxy)
        checkReceivers(proxy)
        checkCount(proxy)
        if proxy.isExample, let size = proxy.chunkSize,
            let engine = subject.engines.first(where: {
                ($0.document?.integer("chunk_size") ?? 256) != size && $0.document != nil
            })
        {
            find(.proxyChunkSize, proxy.name, "--chunk-size is \(size), \(engine.name) has another chunk_size")
        }
    }

    private mutating func checkRPCPorts() {
        guard isPD else { return }
        var owners: [String: String] = [:]
        for engine in subject.engines {
            guard let port = engine.transfer?.extra["lmcache_rpc_port"] else { continue }
            let key = "\(Self.machine(engine.host ?? "")) \(port)"
            if let other = owners.updateValue(engine.name, forKey: key) {
                find(.rpcPort, engine.name, "lmcache_rpc_port \"\(port)\" is \(other)'s too")
            }
        }
    }

    private mutating func checkNotify(_ proxy: CheckedSet.Proxy) {
        guard let notify = proxy.notify else { return }
        for (engine, document) in subject.documents(.prefill) {
            let isXpYd = subject.lmcacheVersion.generation == .xpyd
            let (hostKey, portKey) =
                isXpYd ? ("nixl_proxy_host", "nixl_proxy_port") : ("pd_proxy_host", "pd_proxy_port")
            if let port = document.integer(portKey), port != notify.port {
                find(
                    .notifyAddress, place(engine, portKey),
                    "\(portKey) is \(port), the proxy takes notifications on \(notify.port)")
            }
            guard let host = document.text(hostKey) else { continue }
            let listensEverywhere = ["0.0.0.0", "::", "*"].contains(notify.host)
            let senderIsLocal = Self.isLoopback(host)
            if ["0.0.0.0", "*"].contains(host) {
                find(.notifyAddress, place(engine, hostKey), "\(host) is no address to connect to")
            } else if subject.isMultiHost == true, senderIsLocal, Self.machine(engine.host ?? "") != "this machine" {
                find(.loopback, place(engine, hostKey), "\(hostKey) is \(host), but the proxy runs elsewhere")
            } else if !listensEverywhere, Self.isLoopback(notify.host), !senderIsLocal {
                find(
                    .notifyAddress, place(engine, hostKey),
                    "\(hostKey) is \(host), but the proxy listens on \(notify.host) only")
            }
        }
    }

    /// The proxy's lists against the decode engines' files: by position where they are as many, else by any match.
    private mutating func checkReceivers(_ proxy: CheckedSet.Proxy) {
        var seen: [String: Int] = [:]
        for (index, receiver) in proxy.receivers.enumerated() {
            for port in receiver.initPorts + receiver.allocPorts {
                let key = "\(Self.machine(receiver.host)):\(port)"
                if let other = seen.updateValue(index, forKey: key), other != index {
                    find(.decoderPortsOverlap, proxy.name, "port \(port) belongs to decoders \(other) and \(index)")
                }
            }
            if subject.isMultiHost == true, Self.isLoopback(receiver.host),
                subject.engines.contains(where: { $0.role == .prefill && Self.machine($0.host ?? "") != "this machine" }
                )
            {
                find(
                    .loopback, proxy.name,
                    "decoder \(index) is at \(receiver.host), as prefill engines elsewhere are told")
            }
        }
        let isXpYd = subject.lmcacheVersion.generation == .xpyd
        let keys =
            isXpYd ? ("nixl_peer_init_port", "nixl_peer_alloc_port") : ("pd_peer_init_port", "pd_peer_alloc_port")
        let decoders = subject.documents(.decode)
        guard decoders.count == proxy.receivers.count else {
            if !decoders.isEmpty, !proxy.receivers.isEmpty {
                find(
                    .decoderPorts, proxy.name,
                    "the proxy names \(proxy.receivers.count) decode engines, there are \(decoders.count) files")
            }
            return
        }
        for (receiver, decoder) in zip(proxy.receivers, decoders) {
            for (key, ports) in [(keys.0, receiver.initPorts), (keys.1, receiver.allocPorts)] {
                guard let own = decoder.document.integers(key), own != ports else { continue }
                find(
                    .decoderPorts, place(decoder.engine, key),
                    "\(decoder.engine.name) binds \(own.map(String.init).joined(separator: ",")), "
                        + "the proxy names \(ports.map(String.init).joined(separator: ","))")
            }
            checkPeerHost(decoder.engine, decoder.document, receiver)
        }
    }

    private mutating func checkPeerHost(
        _ engine: CheckedSet.Engine, _ document: LMCacheDocument, _ receiver: PDReceiver
    ) {
        let key = subject.lmcacheVersion.generation == .xpyd ? "nixl_peer_host" : "pd_peer_host"
        guard let host = document.text(key), !["0.0.0.0", "*", "::"].contains(host) else { return }
        if Self.isLoopback(host) != Self.isLoopback(receiver.host), Self.isLoopback(host) {
            find(.loopback, place(engine, key), "\(key) is \(host), but prefill engines connect to \(receiver.host)")
        }
        let others = subject.engines.filter { $0.role == .prefill }.compactMap(\.host)
        if others.contains(host), let own = engine.host, own != host, !Self.isLoopback(own) {
            find(.peerHost, place(engine, key), "\(key) is a prefill engine's address, \(host)")
        }
    }

    private mutating func checkCount(_ proxy: CheckedSet.Proxy) {
        guard let expected = proxy.expectedNotifications,
            let world = subject.engines.first(where: { $0.role == .prefill })?.worldSize
        else { return }
        let sent = subject.shape?.isLatent == true ? 1 : world
        if expected != sent {
            find(
                .notificationCount, proxy.name,
                "it waits for \(expected) notifications, a prefill engine sends \(sent)")
        }
    }
}
