import Testing

@testable import DisaggCore

/// One shape of a deployment, and the port matrix that its files must make.
struct LMCacheTopology: Sendable, CustomTestStringConvertible {
    var name: String
    var yaml: String
    /// One line an engine: its role, and the ports that its file names, rank by rank.
    var engines: [String]
    /// Notifications that the proxy waits for.
    var notifications: Int

    init(_ name: String, _ yaml: String, _ notifications: Int, _ engines: String...) {
        (self.name, self.yaml, self.notifications, self.engines) = (name, yaml, notifications, engines)
    }

    var testDescription: String { name }

    static let all = [
        LMCacheTopology("1p1d", "{}", 1, "prefill-0 sender", "decode-0 receiver [7300] [7400]"),
        LMCacheTopology(
            "xp1d", "prefill: {replicas: 3}", 1, "prefill-0 sender", "prefill-1 sender", "prefill-2 sender",
            "decode-0 receiver [7300] [7400]"),
        LMCacheTopology(
            "xpyd", "prefill: {replicas: 2}\ndecode: {replicas: 2}", 1, "prefill-0 sender", "prefill-1 sender",
            "decode-0 receiver [7300] [7400]", "decode-1 receiver [7301] [7401]"),
        LMCacheTopology(
            "TP 2, two decoders",
            "model: Qwen/Qwen3-32B\nprefill: {tensorParallel: 2}\ndecode: {replicas: 2, tensorParallel: 2}",
            2, "prefill-0 sender", "decode-0 receiver [7300, 7301] [7400, 7401]",
            "decode-1 receiver [7302, 7303] [7402, 7403]"),
        LMCacheTopology(
            "PP 2 of TP 2",
            "model: meta-llama/Llama-3.3-70B-Instruct\nprefill: {tensorParallel: 2, pipelineParallel: 2}\n"
                + "decode: {tensorParallel: 2, pipelineParallel: 2}", 4, "prefill-0 sender",
            "decode-0 receiver [7300, 7301, 7302, 7303] [7400, 7401, 7402, 7403]"),
        LMCacheTopology(
            "MLA", "model: deepseek-ai/DeepSeek-V2\nprefill: {tensorParallel: 2}\ndecode: {tensorParallel: 2}", 1,
            "prefill-0 sender", "decode-0 receiver [7300, 7301] [7400, 7401]"),
        LMCacheTopology(
            "different sizes, which latent attention allows",
            "model: deepseek-ai/DeepSeek-V3\nprefill: {tensorParallel: 4}\ndecode: {replicas: 2, tensorParallel: 2}", 1,
            "prefill-0 sender", "decode-0 receiver [7300, 7301] [7400, 7401]",
            "decode-1 receiver [7302, 7303] [7402, 7403]"),
        LMCacheTopology(
            "decoders on two hosts",
            "prefill: {urls: ['10.0.0.1:8100']}\ndecode: {urls: ['10.0.0.2:8200', '10.0.0.3:8200'], receiverPorts: "
                + "[{init: [7300], alloc: [7400]}, {init: [7300], alloc: [7400]}]}\nproxy: {notify: '10.0.0.9:7500'}",
            1,
            "prefill-0 sender", "decode-0 receiver [7300] [7400]", "decode-1 receiver [7300] [7400]"),
        LMCacheTopology(
            "host memory, disk and a remote store",
            "lmcache: {cpuTier: 8GiB, diskTierPath: /kv/, diskTier: 100GiB, remoteStore: 'redis://cache:6379'}", 1,
            "prefill-0 sender", "decode-0 receiver [7300] [7400]"),
        LMCacheTopology(
            "generation A", "handoff: lmcache-legacy\nlmcache: {version: 0.3.2}\nprefill: {replicas: 2}", 1,
            "prefill-0 sender 127.0.0.1:7300", "prefill-1 sender 127.0.0.1:7300", "decode-0 receiver 127.0.0.1:7300"),
        LMCacheTopology(
            "generation B", "lmcache: {version: 0.3.6}\nprefill: {tensorParallel: 2}\ndecode: {tensorParallel: 2}", 2,
            "prefill-0 sender", "decode-0 receiver [7300, 7301] [7400, 7401]"),
        LMCacheTopology(
            "the sync backend, before there was another", "lmcache: {version: 0.4.4}", 1, "prefill-0 sender",
            "decode-0 receiver [7300] [7400]"),
        LMCacheTopology(
            "the sync backend, chosen", "lmcache: {version: 0.5.6, backend: sync}", 1, "prefill-0 sender sync",
            "decode-0 receiver [7300] [7400] sync"),
        LMCacheTopology(
            "the sync backend, prefill engines ask",
            "lmcache: {backend: sync}\nprefill: {replicas: 2, tensorParallel: 2}\ndecode: {tensorParallel: 2, queryPort: 7600}",
            2, "prefill-0 both [7300, 7301] [7400, 7401] [7600, 7601] sync",
            "prefill-1 both [7300, 7301] [7400, 7401] [7600, 7601] sync",
            "decode-0 receiver [7300, 7301] [7400, 7401] [7600, 7601] sync"),
        LMCacheTopology(
            "the async backend", "lmcache: {version: 0.5.6, backend: async}", 1, "prefill-0 sender",
            "decode-0 receiver [7300] [7400]"),
    ]
}

@Suite("LMCache topologies")
struct TopologyTests {
    private static let places = CommandPlaces(directory: "/run/d", launcher: "l", proxy: "p")

    private static func documents(_ deployment: Deployment) throws -> [(name: String, document: LMCacheDocument)] {
        try BackendRole.allCases.flatMap { role in
            try deployment.group(role).endpoints.indices.map { replica in
                let yaml = try #require(LMCacheFile.yaml(deployment, role, replica: replica))
                let name = role.backendID(replica: replica)
                return (name, try LMCacheDocument(yaml: yaml, fileName: name, version: deployment.lmcacheVersion))
            }
        }
    }

    private static func line(_ name: String, _ document: LMCacheDocument) -> String {
        let role = document.text("pd_role") ?? document.text("nixl_role") ?? "no role"
        let ports = ["init", "alloc", "query"].compactMap { kind in
            (document.integers("pd_peer_\(kind)_port") ?? document.integers("nixl_peer_\(kind)_port")).map { "\($0)" }
        }
        let pipe = document.text("nixl_receiver_host").map { "\($0):\(document.integer("nixl_receiver_port") ?? 0)" }
        let mode = document.text("pd_backend_mode") == "sync" ? ["sync"] : []
        return (["\(name) \(role)"] + ports + [pipe].compactMap { $0 } + mode).joined(separator: " ")
    }

    @Test("each engine has its ports, one a rank, and the proxy names the same", arguments: LMCacheTopology.all)
    func ports(topology: LMCacheTopology) throws {
        let deployment = try Deployment(yaml: topology.yaml)
        let documents = try Self.documents(deployment)
        #expect(documents.map { Self.line($0.name, $0.document) } == topology.engines)
        #expect(deployment.expectedNotifications == topology.notifications)
        let decoders = documents.filter { $0.name.hasPrefix("decode") }
        for (backend, decoder) in zip(deployment.backends(.decode), decoders) {
            guard let receiver = backend.receiver else { continue }
            let document = decoder.document
            #expect(
                receiver.initPorts == document.integers("pd_peer_init_port") ?? document.integers("nixl_peer_init_port")
            )
            #expect(
                receiver.allocPorts == document.integers("pd_peer_alloc_port")
                    ?? document.integers("nixl_peer_alloc_port"))
            #expect(receiver.queryPorts == document.integers("pd_peer_query_port") ?? [])
        }
        let claims = deployment.portClaims
        for (index, claim) in claims.enumerated() {
            #expect(!claims[..<index].contains { $0.conflicts(with: claim) }, "\(claim)")
        }
    }

    @Test(
        "what is generated passes every check, is read without a remark, and is the same each time",
        arguments: LMCacheTopology.all)
    func validated(topology: LMCacheTopology) throws {
        var deployment = try Deployment(yaml: topology.yaml)
        deployment.engine = .vllm
        for (name, document) in try Self.documents(deployment) { #expect(document.notes == [], "\(name)") }
        let findings = CheckRequest.findings(deployment, places: Self.places, facts: nil)
        #expect(!findings.contains { CheckCatalog.severity($0.check) == .error }, "\(findings)")
        let files = ConfigurationOutput(deployment, places: Self.places).files
        var again = try Deployment(yaml: topology.yaml)
        again.engine = .vllm
        #expect(files == ConfigurationOutput(again, places: Self.places).files)
        #expect(Set(files.map(\.path)).count == files.count)
    }

    @Test("MP mode has a server in place of files, and every engine and the proxy know where it is")
    func multiprocess() throws {
        var deployment = try Deployment(
            yaml: "handoff: lmcache-mp\nlmcache: {server: '127.0.0.1:5600', cpuTier: 30GiB}")
        deployment.engine = .vllm
        #expect(LMCacheFile.yaml(deployment, .prefill, replica: 0) == nil)
        let server = try #require(LMCacheServerCommand.make(deployment, places: Self.places))
        let arguments = EngineArguments(server.arguments)
        #expect(arguments.integer("port") == 5600 && arguments.integer("l1-size-gb") == 30)
        for role in BackendRole.allCases {
            let command = VLLMCommand.make(deployment, role, replica: 0, places: Self.places)
            let transfer = try #require(KVTransferView(EngineArguments(command.arguments)))
            #expect(transfer.connector == "LMCacheMPConnector" && transfer.extra["lmcache.mp.port"] == "5600")
            let telemetry = command.environment["LMCACHE_REQUEST_TELEMETRY_ENDPOINT"]
            #expect(telemetry == (role == .prefill ? "http://localhost:7500/api/v1/telemetry" : nil))
        }
        #expect(CheckRequest.findings(deployment, places: Self.places, facts: nil) == [])
        let processes = ConfigurationOutput(deployment, places: Self.places).files.last?.contents ?? ""
        #expect(processes.contains(#""name": "lmcache-server""#))
    }

    @Test("a query port needs the sync backend and one decoder, and moves with the others")
    func queryPort() throws {
        for yaml in [
            "decode: {queryPort: 7600}", "lmcache: {version: 0.4.4, backend: sync}\ndecode: {queryPort: 7600}",
            "lmcache: {backend: sync}\ndecode: {replicas: 2, queryPort: 7600}",
        ] {
            let error = #expect(throws: DeploymentError.self) { try Deployment(yaml: yaml) }
            #expect(error?.problems.contains { $0.path == "decode.queryPort" } == true, "\(yaml)")
        }
        var deployment = try Deployment(yaml: "lmcache: {backend: sync}\ndecode: {queryPort: 7600}")
        deployment.shiftPorts(by: 1000)
        #expect(deployment.portClaims.contains { $0.endpoint.port == 8600 && $0.process == "decode-0" })
    }

    @Test("pd_role both: a decode engine would bind nothing, and a prefill engine needs both sides' addresses")
    func both() throws {
        var sources = CheckedSet.Sources()
        let file = """
            enable_pd: true
            pd_backend_mode: sync
            transfer_channel: nixl
            save_unfull_chunk: true
            local_cpu: false
            pd_role: both
            pd_peer_host: localhost
            pd_peer_init_port: [7300]
            pd_buffer_size: 4362076160
            pd_buffer_device: cuda
            """
        sources.files = [.init(name: "B.yaml", text: file)]
        var problems: [CheckFinding] = []
        var set = CheckedSet(sources, shape: nil, version: .newestKnown, problems: &problems)
        #expect(set.engines.first?.role == .prefill)
        let found = CheckRules.run(set)
        #expect(found.filter { $0.check == .pdProxyAddress }.count == 2)
        #expect(found.contains { $0.check == .pdReceiverAddress && $0.message.contains("pd_peer_alloc_port") })
        set.engines[0].role = .decode
        #expect(CheckRules.run(set).contains { $0.check == .pdRole })
    }
}
