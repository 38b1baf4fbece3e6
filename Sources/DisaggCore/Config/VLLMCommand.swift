/// The `vllm serve` command of one engine.
///
/// Flags and variables as vLLM 0.33.0 and LMCache 0.5.6 take them; ``Deployment/vllmVersion`` goes back to 0.10. Names changed in
/// 0.13 (`SharedStorageConnector` became `ExampleConnector`, vllm#30201), `kv_load_failure_policy` and NIXL's lease are newer
/// than the first versions with these connectors.
package enum VLLMCommand {
    /// Builds the command.
    ///
    /// - Parameters:
    ///   - role: the engine's role.
    ///   - replica: its index in the role's group.
    ///   - places: where `vllm` is and where files go.
    package static func make(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> EngineCommand {
        let group = deployment.group(role)
        let endpoint = group.endpoint(replica: replica)
        let name = role.backendID(replica: replica)
        var arguments = [
            places.vllm, "serve", deployment.model, "--host", endpoint.host, "--port", "\(endpoint.port)",
        ]
        if group.tensorParallel > 1 { arguments += ["--tensor-parallel-size", "\(group.tensorParallel)"] }
        if group.pipelineParallel > 1 { arguments += ["--pipeline-parallel-size", "\(group.pipelineParallel)"] }
        if deployment.handoff.runsEagerly { arguments.append("--enforce-eager") }
        if deployment.handoff == .lmcache || deployment.handoff == .lmcacheLegacy {
            // With vLLM's own prefix cache on, chunks it holds already are never fetched, so never freed from the
            // receiver's buffer (LMCache issue 2933).
            arguments.append("--no-enable-prefix-caching")
        }
        if group.transfer.dataParallel > 1 { arguments += ["--data-parallel-size", "\(group.transfer.dataParallel)"] }
        if let transfer = kvTransferConfig(deployment, role, replica: replica, places: places) {
            arguments += ["--kv-transfer-config", transfer]
        }
        var environment = [
            "CUDA_VISIBLE_DEVICES": gpus(deployment, role, replica: replica).map(String.init).joined(separator: ","),
            "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
            "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        ]
        var files: [EngineCommand.File] = []
        if deployment.handoff != .none {
            // Block hashes must be equal on both sides; Python's are random in each process without a seed.
            environment["PYTHONHASHSEED"] = "0"
            environment["UCX_TLS"] = "cuda_ipc,cuda_copy,tcp"
        }
        if let yaml = LMCacheFile.yaml(deployment, role, replica: replica) {
            let path = places.path("lmcache-\(name).yaml")
            files.append(.init(path: path, contents: yaml))
            environment["LMCACHE_CONFIG_FILE"] = path
        }
        environment.merge(transferEnvironment(deployment, role, replica: replica)) { _, own in own }
        environment.merge(group.environment) { _, own in own }
        return EngineCommand(
            name: name, arguments: arguments + group.extraArguments, environment: environment, files: files,
            logFile: places.path("\(name).log"))
    }

    /// Variables that tell an engine where it offers its KV.
    private static func transferEnvironment(
        _ deployment: Deployment, _ role: BackendRole, replica: Int
    ) -> [String: String] {
        let group = deployment.group(role)
        let address = deployment.transferAddress(role, replica: replica)
        let host = group.receiverHost ?? address.host
        switch deployment.handoff {
        case .nixl, .nixlPush:
            var environment = [
                "VLLM_NIXL_SIDE_CHANNEL_HOST": host, "VLLM_NIXL_SIDE_CHANNEL_PORT": "\(address.sideChannelPort)",
            ]
            // Before there were leases, blocks were freed after this time, 480 s where it is not set.
            if isOlder(deployment, than: LMCacheVersion(0, 24, 0)) {
                environment["VLLM_NIXL_ABORT_REQUEST_TIMEOUT"] = "\(deployment.handoffOptions.lease.components.seconds)"
            }
            return environment
        case .offloadP2P:
            return ["VLLM_P2P_SIDE_CHANNEL_HOST": host, "VLLM_P2P_SIDE_CHANNEL_PORT": "\(address.p2pPort)"]
        case .lmcacheMP where role == .prefill || deployment.lmcache.enginesChangeRoles:
            // Each worker tells the proxy when a request's KV is stored (LMCache `request_telemetry/fastapi.py`).
            let endpoint = Endpoint(host: LMCacheFile.notifyHost(deployment), port: deployment.proxy.notify.port)
            return [
                "LMCACHE_REQUEST_TELEMETRY_TYPE": "fastapi",
                "LMCACHE_REQUEST_TELEMETRY_ENDPOINT": "http://\(endpoint)/api/v1/telemetry",
            ]
        case .mooncake: return ["VLLM_MOONCAKE_BOOTSTRAP_PORT": "\(address.bootstrapPort)"]
        // The engines find each other by the request id, which must reach the connector as it was sent.
        case .p2pNCCL: return ["VLLM_DISABLE_REQUEST_ID_RANDOMIZATION": "1"]
        default: return [:]
        }
    }

    /// Whether commands are written for a vLLM before that version; the newest is assumed where none is known.
    private static func isOlder(_ deployment: Deployment, than version: LMCacheVersion) -> Bool {
        deployment.vllmVersion.map { $0 < version } ?? false
    }

    /// The GPUs of one engine: the group's own list, or counted from 0 with prefill engines first.
    package static func gpus(_ deployment: Deployment, _ role: BackendRole, replica: Int) -> [Int] {
        let group = deployment.group(role)
        let needed = group.devicesPerEngine
        let first = replica * needed
        if group.gpus.count >= first + needed { return Array(group.gpus[first..<first + needed]) }
        // Engines that run elsewhere take no GPU here.
        let ahead =
            deployment.prefill.urls.isEmpty && deployment.uses(.prefill)
            ? deployment.prefill.replicas * deployment.prefill.devicesPerEngine : 0
        let start = (role == .prefill ? 0 : ahead) + first
        return Array(start..<start + needed)
    }

    /// The value of `--kv-transfer-config`, nil without a hand-off.
    package static func kvTransferConfig(
        _ deployment: Deployment, _ role: BackendRole, replica: Int, places: CommandPlaces
    ) -> String? {
        let kvRole = role == .prefill ? "kv_producer" : "kv_consumer"
        switch deployment.handoff {
        case .lmcache, .lmcacheLegacy:
            var extra = "\"discard_partial_chunks\":false"
            extra += ",\"lmcache_rpc_port\":\"\(role == .prefill ? "producer" : "consumer")\(replica + 1)\""
            if role == .decode {
                // The token a prefill engine sampled is no part of the KV it sent (Docs/EngineFacts.md rows 1 and 15).
                let skipped = deployment.handoff == .lmcache && deployment.firstToken == .prefill ? 1 : 0
                extra += ",\"skip_last_n_tokens\":\(skipped)"
            }
            return config("LMCacheConnectorV1", kvRole, extra: extra)
        case .nixl:
            let options = deployment.handoffOptions
            let seconds = options.lease.components.seconds
            let turns =
                options.bidirectional
                ? ",\"bidirectional_kv_xfer\":true,\"decoder_kv_blocks_ttl\":\(options.turnLifetime.components.seconds)"
                : ""
            let isOld = isOlder(deployment, than: LMCacheVersion(0, 12, 0))
            return config(
                "NixlConnector", isOld ? "kv_both" : kvRole, policy: isOld ? nil : "fail",
                extra: "\"kv_lease_duration\":\(seconds)\(turns)")
        case .plain:
            let path = JSONString.encode(places.path("kv-store"))
            let isOld = isOlder(deployment, than: LMCacheVersion(0, 13, 0))
            return config(
                isOld ? "SharedStorageConnector" : "ExampleConnector", kvRole, extra: "\"shared_storage_path\":\(path)")
        case .lmcacheMP:
            let server = deployment.lmcache.server
            return config(
                "LMCacheMPConnector", deployment.lmcache.enginesChangeRoles ? "kv_both" : kvRole,
                extra:
                    "\"lmcache.mp.host\":\(JSONString.encode("tcp://\(server.host)")),\"lmcache.mp.port\":\(server.port)"
            )
        case .nixlPush, .mooncake, .moriio, .p2pNCCL, .offloadP2P:
            return peerConfig(deployment, role, kvRole, deployment.transferAddress(role, replica: replica))
        // Started by their own programs, not by `vllm serve`.
        case .sglang, .trtllm, .llmd, .none: return nil
        }
    }

    /// The connectors whose engines are told each other's address by the proxy.
    private static func peerConfig(
        _ deployment: Deployment, _ role: BackendRole, _ kvRole: String, _ address: KVTransferAddress
    ) -> String {
        let engineID = ",\"engine_id\":\(JSONString.encode(address.engineID))"
        let httpPort = deployment.backends(role).first { $0.transfer == address }?.port ?? 0
        switch deployment.handoff {
        // Decoders are told the engine id before the prefill engine answers.
        case .nixlPush: return config("NixlPushConnector", kvRole, policy: "fail", members: engineID)
        case .mooncake: return config("MooncakeConnector", kvRole)
        case .moriio:
            return config(
                "MoRIIOConnector", kvRole,
                extra: "\"http_port\":\(httpPort),\"handshake_port\":\(address.handshakePort),"
                    + "\"notify_port\":\(address.notifyPort),\"host_ip\":\(JSONString.encode(address.host)),"
                    + "\"read_mode\":\(deployment.handoffOptions.moriioMode == .read)")
        case .p2pNCCL:
            return config(
                "P2pNcclConnector", kvRole, members: ",\"kv_port\":\(address.zmqPort)",
                extra: "\"http_port\":\"\(httpPort)\",\"send_type\":\"PUT_ASYNC\"")
        default:
            return config(
                "OffloadingConnector", "kv_both",
                extra: "\"spec_name\":\"TieringOffloadingSpec\",\"cpu_bytes_to_use\":8589934592,"
                    + "\"secondary_tiers\":[{\"type\":\"p2p\"}]")
        }
    }

    private static func config(
        _ connector: String, _ role: String, policy: String? = nil, members: String = "", extra: String? = nil
    ) -> String {
        let policy = policy.map { ",\"kv_load_failure_policy\":\"\($0)\"" } ?? ""
        let extra = extra.map { ",\"kv_connector_extra_config\":{\($0)}" } ?? ""
        return "{\"kv_connector\":\"\(connector)\",\"kv_role\":\"\(role)\"\(members)\(policy)\(extra)}"
    }
}
