import Testing

@testable import DisaggCore

@Suite("Checks of the machine")
struct MachineRulesTests {
    /// A machine on which the default deployment can run.
    private static func machine() -> MachineFacts {
        var facts = MachineFacts()
        facts.host = host(8, memoryMiB: 143_771)
        facts.driverCUDA = LMCacheVersion(13, 0, 0)
        facts.engineProgram = "/opt/venv/bin/vllm"
        facts.python.packages = [
            "vllm": "0.24.0", "lmcache": "0.5.6", "nixl": "1.3.2", "nixl-cu13": "1.3.2", "torch": "2.11.0+cu130",
        ]
        facts.python.python = LMCacheVersion(3, 12, 0)
        facts.isCached = true
        facts.openFiles = 65536
        facts.lockedBytes = .max
        facts.sharedMemoryBytes = 64 << 30
        facts.availableBytes = 512 << 30
        facts.cacheFreeBytes = 1 << 40
        return facts
    }

    private static func host(_ count: Int, memoryMiB: Int, link: GPULink = .nvlink(18)) -> GPUHost? {
        let devices = (0..<count).map { GPUDevice(index: $0, name: "NVIDIA H200", memoryMiB: memoryMiB) }
        var host = try? GPUHost(name: "localhost", devices: devices, topology: nil)
        host?.links = (0..<count).map { row in (0..<count).map { row == $0 ? nil : link } }
        return host
    }

    struct Trouble: Sendable, CustomTestStringConvertible {
        var id: CheckID
        var yaml: String
        var change: @Sendable (inout MachineFacts) -> Void
        var testDescription: String { id.rawValue }

        init(
            _ id: CheckID, _ yaml: String = "{}", _ change: @escaping @Sendable (inout MachineFacts) -> Void = { _ in }
        ) {
            self.id = id
            self.yaml = yaml
            self.change = change
        }
    }

    static let troubles = [
        Trouble(.programMissing) { $0.engineProgram = nil },
        Trouble(.programMissing) { $0.hasProxy = false },
        Trouble(.packageMissing) { $0.python.packages["lmcache"] = nil },
        Trouble(.packageMissing) { $0.python.packages = ["vllm": "0.24.0", "lmcache": "0.5.6"] },
        Trouble(.gpuMissing) { $0.host = host(1, memoryMiB: 143_771) },
        Trouble(.gpuShared, "prefill: {gpus: [1]}\ndecode: {gpus: [1]}"),
        Trouble(.gpuBusy) { $0.host?.devices[1].usedMiB = 40960 },
        // 70 billion parameters in 16 bits are 131 GiB.
        Trouble(.gpuMemory, "model: meta-llama/Llama-3.1-70B-Instruct"),
        // A 24 GB card holds the weights of an 8B model, but not one request of 131072 tokens beside them.
        Trouble(.gpuMemory) { $0.host = host(8, memoryMiB: 24_564) },
        Trouble(.gpuRoom, "decode: {extraArgs: ['--gpu-memory-utilization', '0.99']}"),
        Trouble(.gpuLink) { $0.host = host(8, memoryMiB: 143_771, link: .betweenSockets) },
        Trouble(.driver) { $0.driverCUDA = LMCacheVersion(12, 4, 0) },
        Trouble(.nixlCUDA) { facts in
            facts.python.packages["nixl-cu13"] = nil
            facts.python.packages["nixl-cu12"] = "1.3.2"
        },
        Trouble(.nixlCUDA) { $0.python.packages["nixl"] = nil },
        Trouble(.gatedModel) { $0.isCached = false },
        Trouble(.weightsDisk) { facts in
            facts.isCached = false
            facts.hasToken = true
            facts.cacheFreeBytes = 10 << 30
        },
        Trouble(.modelFiles, "model: /models/empty") { $0.modelFolder = [] },
        Trouble(.modelFiles, "model: /models/x") { $0.modelFolder = ["config.json"] },
        Trouble(.openFiles) { $0.openFiles = 1024 },
        Trouble(.lockedMemory, "lmcache: {bufferDevice: cpu}") { $0.lockedBytes = 8 << 20 },
        Trouble(.sharedMemory, "prefill: {tensorParallel: 2}\ndecode: {tensorParallel: 2}") {
            $0.sharedMemoryBytes = 64 << 20
        },
        Trouble(.hostMemory, "lmcache: {cpuTier: 600GiB}"),
        Trouble(.temporaryPath) { $0.temporaryPath = "/scratch/" + String(repeating: "x", count: 80) },
        Trouble(.hostName) { $0.unresolvedHosts = ["gpu-7"] },
        Trouble(.portTaken) { facts in
            facts.takenPorts = [
                (
                    PortClaim(
                        endpoint: Endpoint(host: "127.0.0.1", port: 8100), process: "prefill-0", purpose: "HTTP",
                        path: "prefill.port"), "port 8100 is taken"
                )
            ]
        },
        Trouble(.versionNIXL) { $0.python.packages["vllm"] = "0.33.0" },
        Trouble(.versionHash, "lmcache: {version: 0.3.15}") { $0.python.python = LMCacheVersion(3, 11, 0) },
    ]

    private func findings(_ yaml: String, _ facts: MachineFacts) throws -> [CheckFinding] {
        var deployment = try Deployment(yaml: yaml)
        deployment.engine = .vllm
        let places = CommandPlaces(directory: "/run/d", launcher: "l", proxy: "p", vllm: "/opt/venv/bin/vllm")
        return CheckRequest.findings(deployment, places: places, facts: facts)
    }

    @Test("a machine with everything passes")
    func fine() throws {
        #expect(try findings("{}", Self.machine()) == [])
    }

    @Test("each trouble is found under its own name", arguments: troubles)
    func trouble(_ trouble: Trouble) throws {
        var facts = Self.machine()
        trouble.change(&facts)
        let found = try findings(trouble.yaml, facts)
        #expect(found.contains { $0.check == trouble.id }, "\(found)")
    }

    @Test("simulated engines need no GPU, package or token")
    func simulated() throws {
        var deployment = try Deployment(yaml: "engine: simulated")
        deployment.model = "someone/unknown"
        #expect(MachineRules.run(deployment, MachineFacts()) == [])
    }

    @Test("the driver's CUDA version is read from nvidia-smi's banner")
    func banner() {
        #expect(MachineProbe.cudaVersion("| Driver Version: 580.1  CUDA Version: 13.0  |") == LMCacheVersion(13, 0, 0))
        #expect(MachineProbe.cudaVersion("nothing") == nil)
    }

    @Test("packages are found beside a program without starting Python")
    func packages() throws {
        let scene = try LaunchScene()
        let root = scene.directory + "/venv"
        for folder in [
            "bin", "lib/python3.12/site-packages/lmcache-0.5.1.dist-info",
            "lib/python3.12/site-packages/nixl_cu12-1.3.2.dist-info",
        ] {
            try RunDirectory.create("\(root)/\(folder)")
        }
        let python = PythonEnvironment(beside: "\(root)/bin/vllm")
        #expect(python.version("lmcache") == LMCacheVersion(0, 5, 1) && python.packages["nixl-cu12"] == "1.3.2")
        #expect(python.python == LMCacheVersion(3, 12, 0))
        #expect(PythonEnvironment(beside: "/nonexistent/bin/vllm").packages.isEmpty)
    }

    // Found on a real machine: `check` called packages missing that `pip install --target` had put there.
    @Test("packages that were installed into a folder of their own are found too")
    func targetFolder() throws {
        let scene = try LaunchScene()
        let root = scene.directory + "/site"
        for folder in ["bin", "lmcache-0.5.1.dist-info", "nixl-1.3.2.dist-info"] {
            try RunDirectory.create("\(root)/\(folder)")
        }
        let python = PythonEnvironment(beside: "\(root)/bin/vllm")
        #expect(python.version("lmcache") == LMCacheVersion(0, 5, 1) && python.packages["nixl"] == "1.3.2")
        #expect(python.python == nil)
    }

    @Test("what config writes can be read back, and passes the checks")
    func output() throws {
        let scene = try LaunchScene()
        let deployment = try Deployment(yaml: "decode: {replicas: 2}\nprefill: {env: {HF_TOKEN: hf_secret}}")
        let places = CommandPlaces(directory: scene.directory + "/out", launcher: "l", proxy: "p")
        let paths = try ConfigurationOutput(deployment, places: places).write()
        #expect(
            paths.map { $0.split(separator: "/").last.map(String.init) ?? "" } == [
                "deployment.yaml", "lmcache-decode-0.yaml", "lmcache-decode-1.yaml", "lmcache-prefill-0.yaml",
                "commands.json",
            ])
        let text = try #require(ProcFile.text(scene.directory + "/out/commands.json"))
        let view = try JSONView(parsing: text)
        #expect(view["processes"]?.elements.count == 4 && !text.contains("hf_secret"))
        #expect(view["proxy"]?["decode"]?[1]?["initPorts"]?[0]?.int == 7301)
        var request = CheckRequest()
        request.lmcacheFiles = paths.filter { $0.contains("lmcache-") }
        request.commands.proxyCommand =
            "disagg-proxy --num-decoders 2 --decoder-init-port 7300 --decoder-alloc-port 7400 "
            + "--proxy-port 7500 --decoder-host 127.0.0.1"
        let report = try request.existing()
        #expect(report.count(.error) == 0, "\(report.text)")
    }
}
