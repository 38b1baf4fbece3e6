import Testing

@testable import DisaggCore

@Suite("LMCache configuration files")
struct LMCacheFileTests {
    /// Keys and values without the comments.
    private func fields(_ yaml: String) throws -> [String: String] {
        guard case .mapping(let members) = try YAMLParser.parse(yaml).content else { return [:] }
        var result: [String: String] = [:]
        for member in members {
            switch member.value.content {
            case .scalar(let text, _): result[member.key] = text
            case .sequence(let elements):
                result[member.key] = elements.map(\.summary).joined(separator: ",")
            case .mapping: result[member.key] = "mapping"
            }
        }
        return result
    }

    @Test("a prefill engine sends and tells the proxy")
    func sender() throws {
        let yaml = try #require(LMCacheFile.yaml(Deployment(), .prefill, replica: 0))
        #expect(
            try fields(yaml) == [
                "chunk_size": "256", "save_unfull_chunk": "true", "local_cpu": "false", "max_local_cpu_size": "0",
                "pre_caching_hash_algorithm": "builtin", "pd_max_prefill_len": "16384", "pd_shutdown_timeout_sec": "5",
                "pd_condition_poll_interval_sec": "0.005",
                "enable_pd": "true", "pd_backend_mode": "async", "transfer_channel": "nixl", "nixl_backends": "\"UCX\"",
                "pd_role": "sender", "pd_proxy_host": "localhost", "pd_proxy_port": "7500",
                "pd_buffer_size": "2214592512", "pd_buffer_device": "cuda", "pd_allocation_timeout_sec": "10",
            ])
        #expect(LMCacheFile.yaml(Deployment(), .prefill, replica: 0) == yaml)
    }

    @Test("each decoder receives on its own ports, one a rank")
    func receivers() throws {
        var deployment = Deployment()
        deployment.decode.replicas = 2
        deployment.prefill.tensorParallel = 2
        deployment.decode.tensorParallel = 2
        let second = try fields(try #require(LMCacheFile.yaml(deployment, .decode, replica: 1)))
        #expect(second["pd_role"] == "receiver")
        #expect(second["pd_peer_host"] == "\"127.0.0.1\"" || second["pd_peer_host"] == "127.0.0.1")
        #expect(second["pd_peer_init_port"] == "\"7302\",\"7303\"")
        #expect(second["pd_peer_alloc_port"] == "\"7402\",\"7403\"")
        #expect(second["pd_proxy_port"] == nil)
    }

    @Test("buffers are whole chunks where the model is known")
    func alignment() {
        var deployment = Deployment()
        deployment.lmcache.decodeBufferBytes = (1 << 30) + 5
        #expect(LMCacheFile.bufferBytes(deployment, .decode) == 1 << 30)
        deployment.model = "Qwen/Qwen2.5-7B-Instruct"
        #expect(LMCacheFile.bufferBytes(deployment, .decode) == 18688 / 256 * (14 << 20))
        deployment.model = "someone/unknown"
        #expect(LMCacheFile.bufferBytes(deployment, .decode) == (1 << 30) + 5)
    }

    @Test("the legacy file names the same receiver on both sides")
    func legacy() throws {
        var deployment = Deployment()
        deployment.handoff = .lmcacheLegacy
        deployment.prefill.replicas = 2
        deployment.decode.replicas = 2
        let sender = try fields(try #require(LMCacheFile.yaml(deployment, .prefill, replica: 1)))
        let receiver = try fields(try #require(LMCacheFile.yaml(deployment, .decode, replica: 1)))
        #expect(sender["nixl_role"] == "sender" && receiver["nixl_role"] == "receiver")
        #expect(sender["nixl_receiver_port"] == "7301")
        #expect(sender["nixl_receiver_port"] == receiver["nixl_receiver_port"])
        #expect(sender["enable_pd"] == nil)
    }

    @Test("buffers are sized from the model, the context length and the expected concurrency")
    func sizing() {
        var deployment = Deployment()
        // 64 chunks of the longest prompt and one for a partly filled chunk, for two prompts at once.
        #expect(LMCacheFile.bufferBytes(deployment, .decode) == 130 * 33_554_432)
        deployment.lmcache.concurrency = 3
        #expect(LMCacheFile.bufferBytes(deployment, .decode) == 195 * 33_554_432)
        deployment.decode.extraArguments = ["--max-model-len", "8k"]
        #expect(LMCacheFile.bufferBytes(deployment, .decode) == 33 * 3 * 33_554_432)
        // A step stores at most 8000 tokens; twice that, to send while computing.
        #expect(LMCacheFile.bufferBytes(deployment, .prefill) == 66 * 33_554_432)
        deployment.prefill.tensorParallel = 2
        #expect(LMCacheFile.bufferBytes(deployment, .prefill) == 66 * 33_554_432 / 2)
        deployment.decode.extraArguments += ["--kv-cache-dtype", "fp8"]
        #expect(LMCacheFile.bufferBytes(deployment, .prefill) == 66 * 33_554_432 / 4)
    }

    @Test("stages of unequal length get a buffer that is whole chunks of each")
    func unequalStages() throws {
        var deployment = Deployment()
        deployment.model = "deepseek-ai/DeepSeek-V2-Lite"
        deployment.prefill.pipelineParallel = 2
        let layer = 576 * 2 * 256
        let bytes = LMCacheFile.bufferBytes(deployment, .decode)
        #expect(bytes % (14 * layer) == 0 && bytes % (13 * layer) == 0)
    }

    @Test(
        "each version gets the keys it knows, and no other",
        arguments: [
            "0.3.3", "0.3.6", "0.3.7", "0.4.1", "0.4.2", "0.4.4", "0.4.5", "0.5.6",
        ])
    func generations(text: String) throws {
        let version = try #require(LMCacheVersion(text))
        var deployment = Deployment()
        deployment.lmcache.version = version
        deployment.decode.replicas = 2
        if version >= LMCacheVersion(0, 4, 2) { deployment.lmcache.tiers.remoteURL = "redis://cache:6379" }
        for role in BackendRole.allCases {
            let yaml = try #require(LMCacheFile.yaml(deployment, role, replica: 0))
            let document = try LMCacheDocument(yaml: yaml, fileName: "f", version: version)
            #expect(document.notes == [], "\(text) \(role): \(document.notes)")
            #expect(document.has("pd_max_prefill_len") == version.hasAsyncBackend)
        }
        let places = CommandPlaces(directory: "d", launcher: "l", proxy: "p")
        let findings = CheckRequest.findings(deployment, places: places, facts: nil)
        #expect(
            !findings.contains { CheckCatalog.severity($0.check) == .error && $0.check != .versionSharedPrefix },
            "\(findings)")
    }

    @Test("a version that has no such hand-off is refused")
    func wrongGeneration() {
        for (handoff, version) in [("lmcache", "0.3.2"), ("lmcache-legacy", "0.5.6")] {
            #expect(throws: DeploymentError.self) {
                try Deployment(yaml: "handoff: \(handoff)\nlmcache: {version: '\(version)'}")
            }
        }
        #expect(throws: DeploymentError.self) { try Deployment(yaml: "lmcache: {version: '0.4.4', backend: async}") }
        #expect(throws: DeploymentError.self) {
            try Deployment(yaml: "lmcache: {version: '0.4.1', remoteStore: 'redis://c:1'}")
        }
    }
}
