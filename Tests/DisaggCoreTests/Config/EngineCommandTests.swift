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
                "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
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

    @Test(
        "engines that may change their roles are simulated for both, and report what they store",
        arguments: [true, false])
    func simulatedRoles(change: Bool) {
        var deployment = Deployment()
        deployment.handoff = .lmcacheMP
        deployment.lmcache.enginesChangeRoles = change
        let arguments = SimulatedEngineCommand.make(deployment, .decode, replica: 0, places: places).arguments
        #expect(arguments.contains("both") == change && arguments.contains("--telemetry") == change)
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
                "--gpu", deployment.simulator.gpu, "--eager",
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

    @Test("an sglang engine says its half, and each prefill engine has its own bootstrap port")
    func sglang() {
        var deployment = Deployment()
        deployment.handoff = .sglang
        deployment.engine = .sglang
        deployment.prefill.replicas = 2
        deployment.decode.tensorParallel = 2
        let prefill = EngineCommands.make(deployment, .prefill, replica: 1, places: places)
        #expect(
            prefill.arguments == [
                "python3", "-m", "sglang.launch_server", "--model-path", "meta-llama/Llama-3.1-8B-Instruct", "--host",
                "127.0.0.1", "--port", "8101", "--disaggregation-mode", "prefill", "--disaggregation-transfer-backend",
                "nixl", "--disaggregation-bootstrap-port", "8999",
            ])
        let decode = EngineCommands.make(deployment, .decode, replica: 0, places: places)
        #expect(decode.arguments.contains("--tp-size") && !decode.arguments.contains("--disaggregation-bootstrap-port"))
        #expect(decode.environment["CUDA_VISIBLE_DEVICES"] == "2,3")
    }

    @Test("lmcache-mp starts a server that all engines name, and prefill engines report to the proxy")
    func lmcacheMP() throws {
        var deployment = Deployment()
        deployment.handoff = .lmcacheMP
        deployment.engine = .vllm
        let plan = LaunchPlan(deployment, places: places)
        #expect(plan.processes.map(\.command.name) == ["proxy", "lmcache-server", "decode-0", "prefill-0"])
        #expect(plan.processes[1].readinessURL == "http://127.0.0.1:5556/healthcheck")
        let server = plan.processes[1].command.arguments
        #expect(server.prefix(6) == ["lmcache", "server", "--host", "127.0.0.1", "--port", "5555"])
        let prefill = plan.processes[3].command
        let config = try JSONView(parsing: try #require(prefill.arguments.last))
        #expect(config["kv_connector_extra_config"]?["lmcache.mp.port"]?.int == 5555)
        #expect(
            prefill.environment["LMCACHE_REQUEST_TELEMETRY_ENDPOINT"] == "http://localhost:7500/api/v1/telemetry")
        #expect(plan.processes[2].command.environment["LMCACHE_REQUEST_TELEMETRY_ENDPOINT"] == nil)
        #expect(CheckRequest.findings(deployment, places: places, facts: nil) == [])
        deployment.lmcache.version = LMCacheVersion(0, 4, 2)
        let found = CheckRequest.findings(deployment, places: places, facts: nil)
        #expect(found.map(\.check) == [.versionGeneration])
    }

    @Test("older versions of vLLM get the names they know")
    func olderVLLM() throws {
        var deployment = Deployment()
        deployment.handoff = .plain
        deployment.vllmVersion = LMCacheVersion(0, 11, 0)
        func config() throws -> JSONView {
            try JSONView(
                parsing: try #require(VLLMCommand.kvTransferConfig(deployment, .decode, replica: 0, places: places)))
        }
        #expect(try config()["kv_connector"]?.string == "SharedStorageConnector")
        deployment.vllmVersion = LMCacheVersion(0, 13, 0)
        #expect(try config()["kv_connector"]?.string == "ExampleConnector")
        deployment.handoff = .nixl
        #expect(try config()["kv_load_failure_policy"]?.string == "fail")
        let decode = VLLMCommand.make(deployment, .decode, replica: 0, places: places)
        #expect(decode.environment["VLLM_NIXL_ABORT_REQUEST_TIMEOUT"] == "30")
        deployment.vllmVersion = LMCacheVersion(0, 10, 2)
        #expect(try config()["kv_role"]?.string == "kv_both" && config()["kv_load_failure_policy"] == nil)
        deployment.vllmVersion = nil
        #expect(
            VLLMCommand.make(deployment, .decode, replica: 0, places: places)
                .environment["VLLM_NIXL_ABORT_REQUEST_TIMEOUT"] == nil)
    }

    @Test("data-parallel replicas of an engine take GPUs of their own")
    func dataParallel() {
        var deployment = Deployment()
        deployment.handoff = .nixl
        deployment.prefill.transfer.dataParallel = 2
        #expect(VLLMCommand.gpus(deployment, .prefill, replica: 0) == [0, 1])
        #expect(VLLMCommand.gpus(deployment, .decode, replica: 0) == [2])
    }

    @Test("a generated deployment of every connector passes the checks", arguments: HandoffKind.allCases)
    func everyHandoff(handoff: HandoffKind) {
        var deployment = Deployment()
        deployment.handoff = handoff
        if handoff == .lmcacheLegacy { deployment.lmcache.version = LMCacheVersion(0, 3, 2) }
        let found = CheckRequest.findings(deployment, places: places, facts: nil)
        #expect(found.allSatisfy { CheckCatalog.severity($0.check) != .error }, "\(found)")
    }
}
