import Synchronization
import Testing

@testable import DisaggCore

@Suite("Launch request")
struct LaunchRequestTests {
    /// A directory with programs that print the given text.
    private func programs(_ scene: LaunchScene, _ scripts: [String: String]) throws -> String {
        for (name, script) in scripts { try scene.program(name, script) }
        return scene.directory
    }

    private func plan(_ preset: String, path: String) async throws -> (plan: LaunchPlan, notes: [String]) {
        var request = LaunchRequest(source: preset)
        request.searchPath = path
        request.launcher = "/bin/sh"
        request.proxy = "/bin/sh"
        var notes: [String] = []
        let plan = try await request.plan(dryRun: false) { notes.append($0) }
        return (plan, notes)
    }

    @Test("auto starts simulated engines where no GPU is found, and says so in one line", arguments: ["", "exit 9"])
    func noGPU(script: String) async throws {
        let scene = try LaunchScene()
        let path = script.isEmpty ? "/nonexistent" : try programs(scene, ["nvidia-smi": script])
        let (plan, notes) = try await plan("1p1d", path: path)
        #expect(plan.deployment.engine == .simulated)
        #expect(notes == ["nvidia-smi finds no GPU: starting simulated engines (--engine vllm insists on vLLM)"])
        #expect(plan.processes.map(\.command.name) == ["proxy", "decode-0", "prefill-0"])
    }

    @Test("auto starts vLLM where GPUs are found")
    func someGPUs() async throws {
        let scene = try LaunchScene()
        let list = "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\necho 'GPU 1: NVIDIA H200 (UUID: GPU-2)'"
        let path = try programs(scene, ["nvidia-smi": list, "vllm": "exit 0"])
        let (plan, notes) = try await plan("1p1d", path: path)
        #expect(plan.deployment.engine == .vllm)
        #expect(notes == ["nvidia-smi finds 2 GPUs: starting vLLM"])
        #expect(plan.processes[1].command.arguments.first == path + "/vllm")
    }

    @Test("more engines than GPUs is an error that says which engine has none")
    func tooFewGPUs() async throws {
        let scene = try LaunchScene()
        let path = try programs(scene, ["nvidia-smi": "echo 'GPU 0: x'\necho 'GPU 1: x'", "vllm": "exit 0"])
        do {
            _ = try await plan("xpyd", path: path)
            Issue.record("expected an error")
        } catch let error as CommandError {
            #expect(error.exitStatus == 2)
            #expect(error.description.hasPrefix("the decode engines need 2 GPUs (2 of 1), but only 0 of 2 are left"))
        }
    }

    @Test("a missing proxy is an error that says how to build it")
    func noProxy() async throws {
        var request = LaunchRequest(source: "1p1d")
        request.engine = .simulated
        request.launcher = "/nonexistent/disagg-launch"
        do throws(CommandError) {
            _ = try await request.plan(dryRun: false) { _ in }
            Issue.record("expected an error")
        } catch {
            #expect(error.description.hasPrefix("the proxy is not at /nonexistent/disagg-proxy"))
        }
    }

    @Test("engines that run elsewhere are neither started nor bound")
    func remoteEngines() throws {
        let deployment = try Deployment(yaml: "decode: {urls: [gpu-2:8200]}")
        let places = CommandPlaces(directory: "d", launcher: "l", proxy: "p")
        let plan = LaunchPlan(deployment, places: places)
        #expect(plan.processes.map(\.command.name) == ["proxy", "prefill-0"])
        #expect(!plan.processes.flatMap(\.ports).contains { $0.process.hasPrefix("decode") })
    }

    @Test("a console without a terminal prints no escape sequences, one with a terminal redraws in place")
    func console() {
        let text = Mutex("")
        let sink = LaunchConsole.Sink(output: { part in text.withLock { $0 += part } }, error: { _ in })
        var plain = LaunchConsole(sink)
        plain.live(["a"])
        plain.line("b")
        #expect(text.withLock { $0 } == "b\n")

        let live = LaunchConsole.Sink(
            output: { part in text.withLock { $0 += part } }, error: { _ in }, columns: 5)
        var terminal = LaunchConsole(live)
        text.withLock { $0 = "" }
        terminal.live(["123456789", "x"])
        terminal.live(["y"])
        terminal.line("z")
        let shown = text.withLock { $0 }
        #expect(shown.hasPrefix("\r\u{1B}[2K1234\n"))
        #expect(shown.contains("\u{1B}[2A\r\u{1B}[2Ky\n\u{1B}[J"))
        #expect(shown.hasSuffix("\u{1B}[1A\r\u{1B}[Jz\n"))
    }
}
