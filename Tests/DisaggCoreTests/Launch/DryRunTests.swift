import Testing

@testable import DisaggCore

@Suite("Dry run")
struct DryRunTests {
    private func plan(_ change: (inout Deployment) -> Void = { _ in }) -> LaunchPlan {
        var deployment = Deployment()
        deployment.engine = .vllm
        change(&deployment)
        return LaunchPlan(
            deployment,
            places: CommandPlaces(directory: "/run/my logs", launcher: "/b/disagg-launch", proxy: "/b/disagg-proxy"))
    }

    @Test("shows each command, variable and file in start order")
    func script() {
        let script = DryRun.script(plan(), directory: "/run/my logs")
        let headings = script.split(separator: "\n").filter { $0.contains(", ready when ") }
        #expect(headings.map { $0.prefix { $0 != ":" } } == ["# proxy", "# decode-0", "# prefill-0"])
        #expect(script.contains("/b/disagg-proxy --config '/run/my logs/deployment.yaml'"))
        #expect(script.contains("LMCACHE_CONFIG_FILE='/run/my logs/lmcache-decode-0.yaml'"))
        #expect(script.contains("PYTHONHASHSEED=0"))
        #expect(script.contains("pd_role: receiver"))
        #expect(script.contains("> '/run/my logs/prefill-0.log' 2>&1 &"))
    }

    @Test("secrets in variables and arguments are masked")
    func secrets() {
        let script = DryRun.script(
            plan {
                $0.prefill.environment = ["HF_TOKEN": "s3cret1", "VLLM_API_KEY": "s3cret2", "MY_PASSWORD": "s3cret3"]
                $0.decode.environment = ["OPENAI_KEY": "s3cret4", "KEYBOARD": "shown"]
                $0.decode.extraArguments = ["--api-key", "s3cret5", "s3cret6", "--seed", "7", "--hf-token=s3cret7"]
            }, directory: "d")
        #expect(!script.contains("s3cret"))
        #expect(script.contains("KEYBOARD=shown") && script.contains("--seed 7"))
    }

    @Test("who samples the first token is no secret")
    func firstTokenIsShown() {
        let script = DryRun.script(
            plan {
                $0.engine = .simulated
                $0.firstToken = .prefill
            }, directory: "d")
        #expect(script.contains("--first-token prefill"))
        #expect(!script.contains("'***'"))
    }

    @Test(
        "words are quoted so that a shell gives them back",
        arguments: [
            ("plain", "plain"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''"), ("$HOME", "'$HOME'"),
            ("a;b", "'a;b'"),
            ("é", "'é'"), ("x=1", "x=1"),
        ])
    func quoting(word: String, expected: String) {
        #expect(ShellText.quoted(word) == expected)
    }

    @Test("an offset moves every port, and two such deployments share none")
    func portOffset() throws {
        for handoff in HandoffKind.allCases {
            var request = LaunchRequest(source: "xpyd")
            request.portOffset = 1000
            var moved = try request.deployment()
            moved.handoff = handoff
            var original = try LaunchRequest(source: "xpyd").deployment()
            original.handoff = handoff
            let ports = original.portClaims.map(\.endpoint.port)
            #expect(moved.portClaims.map(\.endpoint.port) == ports.map { $0 + 1000 })
        }
        var request = LaunchRequest(source: "1p1d")
        request.portOffset = 60000
        #expect(throws: CommandError.self) { try request.deployment() }
    }

    @Test("a model on the command line replaces the file's")
    func model() throws {
        var request = LaunchRequest(source: "1p1d")
        request.model = "deepseek-ai/DeepSeek-V3"
        let deployment = try request.deployment()
        #expect(deployment.model == "deepseek-ai/DeepSeek-V3" && deployment.lmcache.storesOnFirstRankOnly)
    }

    @Test("a mistyped preset gets a suggestion")
    func mistyped() {
        do throws(CommandError) {
            _ = try LaunchRequest(source: "1pd1").deployment()
            Issue.record("expected an error")
        } catch {
            #expect(error.description.contains("did you mean 1p1d?"))
        }
    }

    @Test("the last lines of a log lose colours and carriage returns")
    func logTail() throws {
        let scene = try LaunchScene()
        let path = scene.directory + "/x.log"
        try RunDirectory.write(.init(path: path, contents: "one\n\u{1B}[31mtwo\u{1B}[0m\n\n10%\r20%\r\nlast\u{7}\n"))
        #expect(LogTail.lines(of: path, count: 3) == ["10%", "20%", "last"])
        #expect(LogTail.lines(of: path, count: 9).contains("two"))
        #expect(LogTail.lines(of: "/nonexistent", count: 3) == [])
    }
}
