import Testing

@testable import DisaggCore

@Suite("Engine commands")
struct EngineCommandTests {
    private let places = CommandPlaces(directory: "/run/d", launcher: "/bin/disagg-launch", proxy: "/bin/disagg-proxy")

    @Test("an lmcache prefill engine is started as the reference says")
    func lmcachePrefill() {
        let command = VLLMCommand.make(Deployment(), .prefill, replica: 0, places: places)
        #expect(
            command.arguments == [
                "vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct", "--host", "127.0.0.1", "--port", "8100",
                "--enforce-eager", "--no-enable-prefix-caching", "--kv-transfer-config",
                #"{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_producer","kv_connector_extra_config":"#
                    + #"{"discard_partial_chunks":false,"lmcache_rpc_port":"producer1"}}"#,
            ])
        #expect(
            command.environment == [
                "LMCACHE_CONFIG_FILE": "/run/d/lmcache-prefill-0.yaml", "PYTHONHASHSEED": "0",
                "UCX_TLS": "cuda_ipc,cuda_copy,tcp", "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
                "VLLM_WORKER_MULTIPROC_METHOD": "spawn", "CUDA_VISIBLE_DEVICES": "0",
            ])
        #expect(command.logFile == "/run/d/prefill-0.log")
        #expect(command.files.map(\.path) == ["/run/d/lmcache-prefill-0.yaml"])
    }

    @Test(
        "the decoder skips the last token only where the prefill engine samples the first",
        arguments: [
            (FirstTokenSource.decode, 0), (.prefill, 1),
        ])
    func skipLastTokens(source: FirstTokenSource, skipped: Int) throws {
        var deployment = Deployment()
        deployment.firstToken = source
        let config = try #require(
            VLLMCommand.kvTransferConfig(deployment, .decode, replica: 1, places: places))
        let view = try JSONView(parsing: config)
        #expect(view["kv_role"]?.string == "kv_consumer")
        #expect(view["kv_connector_extra_config"]?["skip_last_n_tokens"]?.int == skipped)
        #expect(view["kv_connector_extra_config"]?["lmcache_rpc_port"]?.string == "consumer2")
    }

    @Test("a nixl engine has its own side channel, one port a rank")
    func nixl() throws {
        var deployment = Deployment()
        deployment.handoff = .nixl
        deployment.prefill.replicas = 2
        deployment.prefill.tensorParallel = 2
        let prefill = VLLMCommand.make(deployment, .prefill, replica: 1, places: places)
        let decode = VLLMCommand.make(deployment, .decode, replica: 0, places: places)
        #expect(prefill.environment["VLLM_NIXL_SIDE_CHANNEL_PORT"] == "5602")
        #expect(decode.environment["VLLM_NIXL_SIDE_CHANNEL_PORT"] == "5604")
        #expect(decode.environment["VLLM_NIXL_SIDE_CHANNEL_HOST"] == "127.0.0.1")
        #expect(prefill.environment["CUDA_VISIBLE_DEVICES"] == "2,3")
        #expect(decode.environment["CUDA_VISIBLE_DEVICES"] == "4")
        #expect(prefill.arguments.contains("--tensor-parallel-size"))
        #expect(prefill.files.isEmpty && !prefill.arguments.contains("--no-enable-prefix-caching"))
        let config = try JSONView(parsing: try #require(prefill.arguments.last))
        #expect(config["kv_connector"]?.string == "NixlConnector")
    }

    @Test("no hand-off means no KV configuration")
    func noHandoff() {
        var deployment = Deployment()
        deployment.handoff = .none
        let command = VLLMCommand.make(deployment, .decode, replica: 0, places: places)
        #expect(!command.arguments.contains("--kv-transfer-config"))
        #expect(command.environment["PYTHONHASHSEED"] == nil && command.files.isEmpty)
    }

    @Test("the user's arguments come last and the user's variables win")
    func overrides() {
        var deployment = Deployment()
        deployment.decode.extraArguments = ["--max-model-len", "1024"]
        deployment.decode.environment = ["UCX_TLS": "tcp"]
        deployment.decode.gpus = [7]
        let command = VLLMCommand.make(deployment, .decode, replica: 0, places: places)
        #expect(command.arguments.suffix(2) == ["--max-model-len", "1024"])
        #expect(command.environment["UCX_TLS"] == "tcp")
        #expect(command.environment["CUDA_VISIBLE_DEVICES"] == "7")
    }

    @Test("a simulated decoder is told its receiver ports")
    func simulated() {
        var deployment = Deployment()
        deployment.decode.replicas = 2
        deployment.simulator.speed = 0
        let command = SimulatedEngineCommand.make(deployment, .decode, replica: 1, places: places)
        #expect(
            command.arguments == [
                "/bin/disagg-launch", "simulate", "--role", "decode", "--host", "127.0.0.1", "--port", "8201",
                "--model",
                "meta-llama/Llama-3.1-8B-Instruct", "--handoff", "lmcache", "--first-token", "decode", "--init-port",
                "7301", "--alloc-port", "7401", "--buffer-chunks", "130", "--speed", "0.0",
            ])
    }

    @Test("the proxy's file loads back and holds none of the engines' secrets")
    func proxy() throws {
        var deployment = Deployment()
        deployment.prefill.environment = ["HF_TOKEN": "hf_secret"]
        deployment.prefill.extraArguments = ["--api-key", "hf_secret"]
        let command = ProxyCommand.make(deployment, places: places)
        let file = try #require(command.files.first)
        #expect(command.arguments == ["/bin/disagg-proxy", "--config", file.path])
        #expect(!file.contents.contains("hf_secret"))
        #expect(try Deployment(yaml: file.contents) == Deployment())
    }
}
