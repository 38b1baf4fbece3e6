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
                "enable_pd": "true", "pd_backend_mode": "async", "transfer_channel": "nixl", "nixl_backends": "\"UCX\"",
                "pd_role": "sender", "pd_proxy_host": "localhost", "pd_proxy_port": "7500",
                "pd_buffer_size": "2147483648", "pd_buffer_device": "cuda", "pd_allocation_timeout_sec": "10",
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

    @Test(
        "bytes a token agree with LMCache's own numbers",
        arguments: [
            ("meta-llama/Llama-3.2-1B-Instruct", 32_768), ("meta-llama/Llama-3.2-3B", 114_688),
            ("Qwen/Qwen2.5-0.5B", 12_288), ("Qwen/Qwen2.5-7B-Instruct", 57_344),
            ("meta-llama/Llama-3.1-8B-Instruct", 131_072), ("meta-llama/Meta-Llama-3.1-8B", 131_072),
            ("Qwen/Qwen3-8B", 147_456), ("/models/Qwen3-32B", 262_144), ("Llama-3.1-70B", 327_680),
            ("deepseek-ai/DeepSeek-V3", 70_272),
        ])
    func bytesPerToken(model: String, expected: Int) throws {
        #expect(try #require(KVCacheShape.named(model)).bytesPerToken() == expected)
    }

    @Test("ranks share heads, but never split one, and a latent cache is whole on each")
    func ranks() throws {
        let llama = try #require(KVCacheShape.named("Llama-3.1-8B"))
        #expect(llama.bytesPerToken(tensorParallel: 2) == 65_536)
        #expect(llama.bytesPerToken(tensorParallel: 16) == 131_072 / 8)
        #expect(llama.bytesPerToken(pipelineParallel: 2) == 65_536)
        let deepseek = try #require(KVCacheShape.named("DeepSeek-V3"))
        #expect(deepseek.bytesPerToken(tensorParallel: 8) == 70_272)
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
}
