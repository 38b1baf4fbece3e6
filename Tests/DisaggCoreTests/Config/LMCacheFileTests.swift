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
