/// Writes the text of one engine's LMCache file.
struct LMCacheFileText {
    private let deployment: Deployment
    private let role: BackendRole
    private let replica: Int
    private let version: LMCacheVersion
    private let sizing: LMCacheSizing
    private let bufferBytes: Int

    init(_ deployment: Deployment, _ role: BackendRole, _ replica: Int) {
        self.deployment = deployment
        self.role = role
        self.replica = replica
        version = deployment.lmcacheVersion
        sizing = LMCacheSizing(deployment)
        bufferBytes = LMCacheFile.bufferBytes(deployment, role)
    }

    private var settings: LMCacheSettings { deployment.lmcache }
    private var tiers: LMCacheTiers { settings.tiers }

    private var heading: String {
        let name = role.backendID(replica: replica)
        return
            "# LMCache configuration of \(name), for LMCache \(version.generation.versions). Written by disagg-launch."
    }

    private var bufferComment: String {
        guard let chunk = sizing.chunkBytes, let tokens = sizing.capacityTokens(bytes: bufferBytes) else {
            return "# Bytes a rank; the model's shape is not known, so this is no computed size."
        }
        return "# Bytes a rank: \(bufferBytes / chunk) chunks of \(chunk) bytes, room for \(tokens) tokens."
    }

    private var receiver: (host: String, ports: ReceiverPorts) {
        let group = deployment.decode
        return (group.receiverHost ?? group.endpoint(replica: replica).host, group.receiverPorts(replica: replica))
    }

    /// The decoders' ports for questions about what they hold; empty where prefill engines do not ask. Only the sync backend
    /// can (LMCache 0.5.6 `pd_backend.py` 714-869), and a prefill engine has one list for all decoders.
    private var queryPorts: [Int] {
        guard version.hasAsyncBackend, settings.backend(in: version) == .sync else { return [] }
        return deployment.decode.queryPorts(replica: 0)
    }

    private static func list(_ ports: [Int]) -> String { YAMLText.list(ports.map(String.init)) }

    private static func gigabytes(_ bytes: Int) -> String {
        let value = Double(bytes) / Double(1 << 30)
        return value == value.rounded() ? "\(Int(value))" : "\(value)"
    }

    private func join(_ lines: [String]) -> String { lines.joined(separator: "\n") + "\n" }

    // MARK: - Generation C

    /// 0.3.7 and later; keys that a version does not know yet are left out.
    var current: String {
        var lines = [
            heading, "# Tokens in one KV chunk; the same on every engine.", "chunk_size: \(settings.chunkSize)",
            "# The last, partly filled chunk of a prompt is sent too: without it a short prompt is never announced.",
            "save_unfull_chunk: true",
            "# How chunks are named; the same on every engine.",
            "pre_caching_hash_algorithm: \(YAMLText.scalar(settings.hashAlgorithm))",
        ]
        lines += storage
        lines += ["", "enable_pd: true"]
        let backend = settings.backend(in: version)
        if version.hasAsyncBackend { lines.append("pd_backend_mode: \(backend.rawValue)") }
        lines += ["transfer_channel: nixl", "nixl_backends: [UCX]"]
        lines += role == .prefill ? sender : pdReceiver
        lines += [
            bufferComment, "pd_buffer_size: \(bufferBytes)", "pd_buffer_device: \(settings.bufferDevice.rawValue)",
        ]
        if backend == .async { lines += limits }
        return join(lines)
    }

    private var storage: [String] {
        guard !tiers.isEmpty else {
            return [
                "# No cache in host memory: KV goes from GPU to GPU.", "local_cpu: false", "max_local_cpu_size: 0",
            ]
        }
        guard role == .prefill else {
            return [
                "# A consumer saves nothing, so the tiers are the prefill engines' alone.", "local_cpu: false",
                "max_local_cpu_size: 0", "retrieve_locations: [PDBackend]",
            ]
        }
        let cpu = tiers.cpuBytes > 0 ? tiers.cpuBytes : 5 << 30
        var lines = [
            "# Pinned host memory, GiB a rank; the other tiers need it as their staging buffer.", "local_cpu: true",
            "max_local_cpu_size: \(Self.gigabytes(cpu))",
        ]
        var locations = ["LocalCPUBackend"]
        if let path = tiers.diskPath {
            let size = Self.gigabytes(tiers.diskBytes)
            lines += ["local_disk: \(YAMLText.quoted(path))", "max_local_disk_size: \(size)"]
            locations.append("LocalDiskBackend")
        }
        if let url = tiers.remoteURL {
            lines += ["remote_url: \(YAMLText.quoted(url))", "remote_serde: naive"]
            locations.append("RemoteBackend")
        }
        if version >= LMCacheVersion(0, 4, 2) {
            lines.append("retrieve_locations: \(YAMLText.list(locations))")
        }
        return lines
    }

    private var sender: [String] {
        let notifications = [
            "# Where the proxy listens for \"the KV of request X has arrived\".",
            "pd_proxy_host: \(YAMLText.scalar(LMCacheFile.notifyHost(deployment)))",
            "pd_proxy_port: \(deployment.proxy.notify.port)",
        ]
        guard !queryPorts.isEmpty else { return ["pd_role: sender"] + notifications }
        let decoder = deployment.decode
        let host = decoder.receiverHost ?? decoder.endpoint(replica: 0).host
        return [
            "# Sends, and asks the decode engine which chunks it holds already.", "pd_role: both",
            "pd_bidirectional: true",
        ] + notifications + [
            "# The decode engine's addresses, one port a rank, in rank order; nothing binds them here."
        ]
            + peer(host, decoder.receiverPorts(replica: 0))
    }

    private var pdReceiver: [String] {
        let (host, ports) = receiver
        return ["pd_role: receiver", "# This engine's own addresses, one port a rank, in rank order."]
            + peer(host, ports)
    }

    private func peer(_ host: String, _ ports: ReceiverPorts) -> [String] {
        let lines = [
            "pd_peer_host: \(YAMLText.scalar(host))",
            "pd_peer_init_port: \(Self.list(ports.initPorts))",
            "pd_peer_alloc_port: \(Self.list(ports.allocPorts))",
        ]
        return queryPorts.isEmpty ? lines : lines + ["pd_peer_query_port: \(Self.list(queryPorts))"]
    }

    /// Keys of the async backend that keep a full buffer from hanging an engine.
    private var limits: [String] {
        var lines: [String] = []
        if sizing.chunkBytes != nil {
            lines += [
                "# Longest prompt that is handed over, in tokens; the buffer is checked against it at the start.",
                "pd_max_prefill_len: \(sizing.longestPrompt)",
            ]
        }
        return lines + [
            "# Seconds to wait for room in a buffer; LMCache's own default is for ever.",
            "pd_allocation_timeout_sec: \(Self.seconds(settings.allocationTimeout))",
            "# Seconds that a stop may take, and between two looks at a condition.",
            "pd_shutdown_timeout_sec: 5",
            "pd_condition_poll_interval_sec: 0.005",
        ]
    }

    private static func seconds(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        guard attoseconds != 0 else { return "\(seconds)" }
        return "\(Double(seconds) + Double(attoseconds) / 1e18)"
    }

    // MARK: - Generations B and A

    /// 0.3.3 to 0.3.6.
    var xpyd: String {
        var lines = [
            heading, "chunk_size: \(settings.chunkSize)", "save_unfull_chunk: true",
            "# KV goes from GPU to GPU; these versions refuse a remote store beside it.", "local_cpu: false",
            "max_local_cpu_size: 0", "", "enable_nixl: true",
            "# Any sender to any receiver, and the proxy is told when KV has arrived.", "enable_xpyd: true",
        ]
        if version >= LMCacheVersion(0, 3, 4) { lines.append("nixl_backends: [UCX]") }
        switch role {
        case .prefill:
            lines += [
                "nixl_role: sender",
                "# Where the proxy listens for \"the KV of request X has arrived\".",
                "nixl_proxy_host: \(YAMLText.scalar(LMCacheFile.notifyHost(deployment)))",
                "nixl_proxy_port: \(deployment.proxy.notify.port)",
            ]
        case .decode:
            let (host, ports) = receiver
            lines += [
                "nixl_role: receiver",
                "# This engine's own addresses, one port a rank, in rank order.",
                "nixl_peer_host: \(YAMLText.scalar(host))",
                "nixl_peer_init_port: \(Self.list(ports.initPorts))",
                "nixl_peer_alloc_port: \(Self.list(ports.allocPorts))",
            ]
        }
        lines += [
            bufferComment, "nixl_buffer_size: \(bufferBytes)", "nixl_buffer_device: \(settings.bufferDevice.rawValue)",
        ]
        return join(lines)
    }

    /// 0.3.0 to 0.3.2 (and 0.3.3 to 0.3.6 without `enable_xpyd`). Each sender has one receiver there; prefill *i* takes
    /// decoder *i* modulo their number, and requests that the proxy sends to another decoder are computed again, which
    /// is slow but right.
    var legacy: String {
        let decode = deployment.decode
        let decoders = decode.endpoints
        let decoder = role == .decode ? replica : replica % max(1, decoders.count)
        let host = decode.receiverHost ?? (decoders.indices.contains(decoder) ? decoders[decoder].host : decode.host)
        let port = decode.receiverPorts(replica: decoder).initPorts.first ?? decode.initPort
        return join([
            heading, "chunk_size: \(settings.chunkSize)", "save_unfull_chunk: true",
            "# These versions refuse to start with any other storage beside NIXL.",
            "local_cpu: false", "max_local_cpu_size: 0", "max_local_disk_size: 0", "remote_serde: null",
            "", "enable_nixl: true", "nixl_role: \(role == .prefill ? "sender" : "receiver")",
            "# The receiver's address, the same text on both sides: here that of decode-\(decoder). Rank i adds i to it.",
            "nixl_receiver_host: \(YAMLText.scalar(host))", "nixl_receiver_port: \(port)", bufferComment,
            "nixl_buffer_size: \(bufferBytes)", "nixl_buffer_device: \(settings.bufferDevice.rawValue)",
            "nixl_enable_gc: true",
        ])
    }
}
