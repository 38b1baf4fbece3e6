import Testing

@testable import DisaggCore

@Suite("CPUs beside the GPUs")
struct ProcessorBindingTests {
    private func plan(_ yaml: String) throws -> LaunchPlan {
        var deployment = try Deployment(yaml: yaml)
        deployment.engine = .vllm
        return LaunchPlan(
            deployment, places: CommandPlaces(directory: "d", launcher: "l", proxy: "p", vllm: "/v/vllm"))
    }

    /// Two sockets with four GPUs each: CPUs 0-19,40-59 and 20-39,60-79.
    private func binding(allowed: ClosedRange<Int> = 0...79) throws -> ProcessorBinding {
        ProcessorBinding(
            host: try PlanningFixture.host("topo-v100-8-mesh.txt"), allowed: Set(allowed), taskset: "/bin/taskset")
    }

    private func start(_ plan: LaunchPlan, _ name: String) throws -> [String] {
        try #require(plan.processes.first { $0.command.name == name }).command.arguments
    }

    @Test("an engine is started on the CPUs of its GPUs' socket, the proxy anywhere")
    func bound() throws {
        var plan = try plan("handoff: nixl\nprefill: {gpus: [0, 3], tensorParallel: 2}\ndecode: {gpus: [5]}")
        plan.bindProcessors(try binding())
        #expect(try start(plan, "prefill-0").prefix(5) == ["/bin/taskset", "-c", "0-19,40-59", "/v/vllm", "serve"])
        #expect(try start(plan, "decode-0").prefix(4) == ["/bin/taskset", "-c", "20-39,60-79", "/v/vllm"])
        #expect(try start(plan, "proxy").first == "p")
        #expect(DryRun.script(plan, directory: "d").contains(" /bin/taskset -c 0-19,40-59 /v/vllm serve "))
    }

    @Test("`cpuBinding: false`, GPUs of both sockets, and CPUs that are all there are leave an engine free")
    func unbound() throws {
        var plan = try plan(
            "handoff: nixl\nprefill: {gpus: [0], cpuBinding: false}\ndecode: {gpus: [3, 4], tensorParallel: 2}")
        plan.bindProcessors(try binding())
        #expect(try start(plan, "prefill-0").first == "/v/vllm")
        #expect(try start(plan, "decode-0").first == "/v/vllm")
        #expect(try binding(allowed: 0...9).prefix(gpus: [0]) == [])
        #expect(try binding(allowed: 0...9).prefix(gpus: [4]) == [])
        #expect(try binding(allowed: 0...29).prefix(gpus: [4]) == ["/bin/taskset", "-c", "20-29"])
        #expect(try binding().prefix(gpus: [99]) == [])
        #expect(
            ProcessorBinding(host: try GPUHost(name: "h", devices: [], topology: nil), allowed: [0], taskset: "t")
                .prefix(gpus: [0]) == [])
    }

    @Test("lists of CPUs are read as the kernel writes them")
    func lists() {
        #expect(ProcessorBinding.numbers("0-2,7") == [0, 1, 2, 7])
        #expect(ProcessorBinding.numbers("\t3\n") == [3])
        for text in ["", "N/A", "3-1", "1-2-3", "0-99999", "-4"] { #expect(ProcessorBinding.numbers(text[...]) == nil) }
    }

    @Test("`up` takes the CPUs from nvidia-smi, and the child runs on no other")
    func child() async throws {
        let scene = try LaunchScene()
        let path = "\(scene.directory):/usr/bin:/bin"
        let host = try GPUHost(name: "h", devices: [], topology: nil)
        let allowed = try #require(ProcessorBinding(host, path: path)).allowed.sorted()
        let near = try #require(allowed.last)
        let other = try #require(allowed.first)
        let smi = """
            case "$1" in
            -L) echo 'GPU 0: x'; echo 'GPU 1: x' ;;
            topo) printf '\\tGPU0\\tGPU1\\tCPU Affinity\\tNUMA Affinity\\n'
                  printf 'GPU0\\t X \\tSYS\\t\(near)\\t1\\nGPU1\\tSYS\\t X \\t\(other)\\t0\\n' ;;
            --query-gpu*) echo 'index, uuid, name, memory.total [MiB], memory.used [MiB], mig.mode.current'
                  echo '0, GPU-a, NVIDIA H200, 143771 MiB, 0 MiB, Disabled'
                  echo '1, GPU-b, NVIDIA H200, 143771 MiB, 0 MiB, Disabled' ;;
            esac
            """
        try scene.program("nvidia-smi", smi)
        try scene.program("vllm", "grep Cpus_allowed_list /proc/self/status")
        var request = LaunchRequest(source: "1p1d")
        request.searchPath = path
        request.launcher = "/bin/sh"
        request.proxy = "/bin/sh"
        request.directory = scene.directory
        let plan = try await request.plan(dryRun: false) { _ in }
        for process in plan.processes where process.role != "proxy" {
            let cpu = process.gpus == [0] ? near : other
            let prefix = Array(process.command.arguments.prefix { !$0.hasSuffix("/vllm") })
            #expect(prefix.dropFirst() == (allowed.count > 1 ? ["-c", "\(cpu)"] : []))
            _ = try await ChildProcess.run(process.command, mark: "m") { _ in }
            let log = try ConfigFile.text(process.command.logFile, limit: 1 << 16)
            #expect(log.contains("Cpus_allowed_list:\t\(cpu)\n"), "\(log)")
        }
    }
}
