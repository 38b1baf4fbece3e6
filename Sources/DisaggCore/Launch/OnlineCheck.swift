/// Looks at running engines: what they answer, and what their logs say. It sends no generation.
package struct OnlineCheck: Sendable {
    /// The deployment that runs.
    package var deployment: Deployment
    /// Where the logs of engines of this machine are.
    package var directory: String
    /// One answer must come within this time.
    package var timeout = Duration.seconds(3)

    /// Bytes at the end of a log that are looked at.
    private static let logLimit = 8 << 20

    /// Describes what to look at.
    package init(_ deployment: Deployment, directory: String) {
        self.deployment = deployment
        self.directory = directory
    }

    /// One engine's answers.
    private struct Engine: Sendable {
        var name: String
        var role: BackendRole
        var replica: Int
        var url: String
        var health: HTTPProbe.Outcome
        var version: String?
        var models: [String]?
    }

    /// All findings.
    package func run() async -> [CheckFinding] {
        var findings: [CheckFinding] = []
        let engines = await ask()
        for engine in engines {
            switch engine.health {
            case .status(200): break
            case .status(let code):
                findings.append(.init(.engineUnreachable, engine.name, "GET /health answers \(code)"))
            case .unreachable(let reason):
                findings.append(.init(.engineUnreachable, engine.name, "GET \(engine.url)/health: \(reason)"))
            }
            if let models = engine.models, !models.contains(deployment.model) {
                findings.append(
                    .init(
                        .servedModel, engine.name,
                        "it serves \(models.prefix(4).joined(separator: ", ")), not \(deployment.model)"))
            }
        }
        let versions = engines.compactMap { engine in engine.version.map { (engine.name, $0) } }
        if let first = versions.first {
            for (name, version) in versions where version != first.1 {
                findings.append(.init(.engineVersion, name, "it is \(version), \(first.0) is \(first.1)"))
            }
        }
        for engine in engines { findings += logFindings(engine) }
        findings += processFindings()
        if deployment.handoff == .lmcache, !isListening(deployment.proxy.notify) {
            findings.append(
                .init(
                    .proxyNotListening, "proxy",
                    "nothing listens on its notification port \(deployment.proxy.notify.port)"))
        }
        return findings
    }

    private func ask() async -> [Engine] {
        await withTaskGroup(of: Engine.self) { group in
            for role in BackendRole.allCases {
                for (replica, endpoint) in deployment.group(role).endpoints.enumerated() {
                    group.addTask { await ask(role, replica, "http://\(Self.reachable(endpoint))") }
                }
            }
            var engines: [Engine] = []
            for await engine in group { engines.append(engine) }
            return engines.sorted { ($0.role.rawValue, $0.replica) < ($1.role.rawValue, $1.replica) }
        }
    }

    private func ask(_ role: BackendRole, _ replica: Int, _ url: String) async -> Engine {
        let health = await HTTPProbe(url: "\(url)/health", timeout: timeout).run()
        var engine = Engine(
            name: role.backendID(replica: replica), role: role, replica: replica, url: url, health: health)
        guard case .status = health else { return engine }
        let version = await HTTPProbe(url: "\(url)/version", timeout: timeout).fetch()
        if version.outcome == .status(200) {
            engine.version = (try? JSONView(parsing: version.body))?["version"]?.string
        }
        let models = await HTTPProbe(url: "\(url)/v1/models", timeout: timeout).fetch()
        if models.outcome == .status(200), let view = try? JSONView(parsing: models.body) {
            engine.models = view["data"]?.elements.prefix(64).compactMap { $0["id"]?.string }
        }
        return engine
    }

    private static func reachable(_ endpoint: Endpoint) -> Endpoint {
        ["0.0.0.0", "*", "::"].contains(endpoint.host) ? Endpoint(host: "127.0.0.1", port: endpoint.port) : endpoint
    }

    // MARK: - Logs

    private func logFindings(_ engine: Engine) -> [CheckFinding] {
        let log = "\(directory)/\(engine.name).log"
        let lines = LogTail.linesOfLastStart(of: log, limit: Self.logLimit)
        guard !lines.isEmpty else { return [] }
        var findings: [CheckFinding] = []
        var reported: String?
        if deployment.handoff == .lmcache, isAsync {
            let ports =
                engine.role == .decode ? deployment.decode.receiverPorts(replica: engine.replica).allocPorts : []
            switch PDEvidence(allocPorts: ports).judge(lines) {
            case .proven: break
            case .degraded(let line):
                findings.append(.init(.pdDegraded, engine.name, line))
                reported = line
            // After a rotation they stand in a file that was put aside.
            case .missing where !LogTail.reachesStart(of: log, limit: Self.logLimit): break
            case .missing(let missing):
                findings.append(
                    .init(.pdNotBound, engine.name, "not in its log: \(missing.joined(separator: "; "))"))
            }
        }
        if let found = LogDiagnosis.find(in: lines), found.line != reported {
            findings.append(
                .init(
                    .logProblem, engine.name, "\(found.cause.explanation); \(found.cause.fix). The line: \(found.line)")
            )
        }
        return findings
    }

    private var isAsync: Bool {
        deployment.engine != .simulated && deployment.lmcache.backend(in: deployment.lmcacheVersion) == .async
    }

    // MARK: - Processes of this machine

    private func processFindings() -> [CheckFinding] {
        guard deployment.engine != .simulated, KVConnector(deployment.handoff)?.isLMCachePD == true,
            let state = try? RunState.read(directory), state.bootID == ProcessFacts.bootID
        else { return [] }
        var findings: [CheckFinding] = []
        var first: (name: String, seed: String)?
        var pythons: Set<String> = []
        for process in state.processes where process.role != "proxy" {
            guard let pid = process.pid, ProcessFacts(pid)?.startTicks == process.startTicks else { continue }
            switch ProcessFacts.variable("PYTHONHASHSEED", of: pid) {
            case .hidden: break
            case .unset, .set(""):
                findings.append(.init(.runningSeed, process.name, "PYTHONHASHSEED is not set in process \(pid)"))
            case .set(let seed):
                if let first, first.seed != seed {
                    findings.append(
                        .init(.runningSeed, process.name, "PYTHONHASHSEED is \(seed), in \(first.name) \(first.seed)"))
                }
                first = first ?? (process.name, seed)
            }
            if let name = ProcFile.link("/proc/\(pid)/exe")?.split(separator: "/").last, name.hasPrefix("python3.") {
                pythons.insert(name == "python3.10" ? "3.10" : "3.11 or later")
            }
        }
        if pythons.count > 1 {
            findings.append(.init(.pythonDiffers, "engines", "some run Python 3.10 and some a later one"))
        }
        return findings
    }

    /// Whether something listens on a local port; true where the address is another machine's.
    private func isListening(_ endpoint: Endpoint) -> Bool {
        let host = endpoint.host
        guard host == "localhost" || host.hasPrefix("127.") || ["0.0.0.0", "*", "::", "::1"].contains(host) else {
            return true
        }
        return PortHolder.isListening(port: endpoint.port)
    }
}
