/// The LMCache configuration of one engine: what `LMCACHE_CONFIG_FILE` names.
///
/// The text depends on the deployment alone and has a fixed order, so two runs differ only where the deployment does.
/// Keys of generation C (LMCache 0.4.5 and later, async backend) and of generation A (before 0.3.3).
package enum LMCacheFile {
    /// How long an engine waits for room in a PD buffer, in seconds. LMCache's default is for ever, which turns a full
    /// buffer into a hang of the whole engine; the proxy's own notification timeout is 10 s by default.
    private static let allocationTimeoutSeconds = 10

    /// Bytes of one chunk in one rank of the deployment's engines, nil where the model is not known.
    package static func chunkBytes(_ deployment: Deployment) -> Int? {
        deployment.modelShape.map {
            $0.kvBytesPerToken(
                tensorParallel: deployment.prefill.tensorParallel, pipelineParallel: deployment.prefill.pipelineParallel
            ) * deployment.lmcache.chunkSize
        }
    }

    /// `pd_buffer_size` of one role: the deployment's number, down to whole chunks where the chunk's size is known.
    ///
    /// LMCache before 0.4.3 refuses sizes that are no multiple; later versions round down themselves.
    package static func bufferBytes(_ deployment: Deployment, _ role: BackendRole) -> Int {
        let bytes = role == .prefill ? deployment.lmcache.prefillBufferBytes : deployment.lmcache.decodeBufferBytes
        guard let chunk = chunkBytes(deployment), chunk > 0, bytes >= chunk else { return bytes }
        return bytes / chunk * chunk
    }

    /// The file of one engine, nil where the hand-off needs none.
    package static func yaml(_ deployment: Deployment, _ role: BackendRole, replica: Int) -> String? {
        switch deployment.handoff {
        case .lmcache: current(deployment, role, replica)
        case .lmcacheLegacy: legacy(deployment, role, replica)
        default: nil
        }
    }

    /// The address that senders push notifications to: a listener on all addresses is reached at `localhost`.
    package static func notifyHost(_ deployment: Deployment) -> String {
        let host = deployment.proxy.notify.host
        return ["0.0.0.0", "::", "*"].contains(host) ? "localhost" : host
    }

    private static func bufferComment(_ deployment: Deployment, _ role: BackendRole) -> String {
        let bytes = bufferBytes(deployment, role)
        guard let chunk = chunkBytes(deployment), chunk > 0 else {
            return "# Bytes a rank; LMCache rounds it down to whole chunks."
        }
        let chunks = bytes / chunk
        let tokens = chunks * deployment.lmcache.chunkSize
        return "# Bytes a rank: \(chunks) chunks of \(chunk) bytes, room for \(tokens) tokens."
    }

    private static func current(_ deployment: Deployment, _ role: BackendRole, _ replica: Int) -> String {
        var lines = [
            "# LMCache configuration of \(role.backendID(replica: replica)), for LMCache 0.4.5 or later. Written by disagg-launch.",
            "# Tokens in one KV chunk; the same on every engine.",
            "chunk_size: \(deployment.lmcache.chunkSize)",
            "# The last, partly filled chunk of a prompt is sent too: without it a short prompt is never announced.",
            "save_unfull_chunk: true",
            "# No cache in host memory: KV goes from GPU to GPU.",
            "local_cpu: false",
            "max_local_cpu_size: 0",
            "",
            "enable_pd: true",
            "pd_backend_mode: async",
            "transfer_channel: nixl",
            "nixl_backends: [UCX]",
        ]
        switch role {
        case .prefill:
            lines += [
                "pd_role: sender",
                "# Where the proxy listens for \"the KV of request X has arrived\".",
                "pd_proxy_host: \(YAMLText.scalar(notifyHost(deployment)))",
                "pd_proxy_port: \(deployment.proxy.notify.port)",
            ]
        case .decode:
            let group = deployment.decode
            let ports = group.receiverPorts(replica: replica)
            let host = group.receiverHost ?? group.endpoint(replica: replica).host
            lines += [
                "pd_role: receiver",
                "# This engine's own addresses, one port a rank, in rank order.",
                "pd_peer_host: \(YAMLText.scalar(host))",
                "pd_peer_init_port: \(YAMLText.list(ports.initPorts.map(String.init)))",
                "pd_peer_alloc_port: \(YAMLText.list(ports.allocPorts.map(String.init)))",
            ]
        }
        lines += [
            bufferComment(deployment, role),
            "pd_buffer_size: \(bufferBytes(deployment, role))",
            "pd_buffer_device: cuda",
            "# Seconds to wait for room in a buffer; LMCache's own default is for ever.",
            "pd_allocation_timeout_sec: \(allocationTimeoutSeconds)",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    /// Generation A, LMCache 0.3.0 to 0.3.2. Each sender has one receiver there; prefill *i* takes decoder *i* modulo
    /// their number, and requests that the proxy sends to another decoder are computed again, which is slow but right.
    private static func legacy(_ deployment: Deployment, _ role: BackendRole, _ replica: Int) -> String {
        let decode = deployment.decode
        let decoders = decode.endpoints
        let decoder = role == .decode ? replica : replica % max(1, decoders.count)
        let host = decode.receiverHost ?? (decoders.indices.contains(decoder) ? decoders[decoder].host : decode.host)
        let port = decode.receiverPorts(replica: decoder).initPorts.first ?? decode.initPort
        return [
            "# LMCache configuration of \(role.backendID(replica: replica)), for LMCache 0.3.0 to 0.3.2. Written by disagg-launch.",
            "chunk_size: \(deployment.lmcache.chunkSize)",
            "# These versions refuse to start with any other storage beside NIXL.",
            "local_cpu: false",
            "max_local_cpu_size: 0",
            "max_local_disk_size: 0",
            "remote_serde: null",
            "",
            "enable_nixl: true",
            "nixl_role: \(role == .prefill ? "sender" : "receiver")",
            "# The receiver's address, the same text on both sides: here that of decode-\(decoder).",
            "nixl_receiver_host: \(YAMLText.scalar(host))",
            "nixl_receiver_port: \(port)",
            bufferComment(deployment, role),
            "nixl_buffer_size: \(bufferBytes(deployment, role))",
            "nixl_buffer_device: cuda",
            "nixl_enable_gc: true",
        ].joined(separator: "\n") + "\n"
    }
}
