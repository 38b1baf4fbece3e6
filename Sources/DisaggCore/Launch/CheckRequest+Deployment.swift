extension CheckRequest {
    /// Checks a deployment.
    ///
    /// - Parameters:
    ///   - machine: whether to look at this machine too.
    ///   - online: whether to look at running engines.
    /// - Throws: ``CommandError`` where the deployment cannot be read.
    package func deploymentReport(machine: Bool, online: Bool) async throws(CommandError) -> CheckReport {
        guard let request = deployment else { throw CommandError("no deployment was named") }
        var facts: [String] = []
        var (deployment, places) = try request.configuration { facts.append($0) }
        if online { deployment.takeEngine(from: request.directory) }
        var findings: [CheckFinding] = []
        let probe = MachineProbe(path: request.searchPath)
        if machine {
            let found = await probe.facts(deployment, places: places, ports: true)
            findings = Self.findings(deployment, places: places, facts: found)
        } else {
            findings = Self.findings(deployment, places: places, facts: nil)
        }
        if online { findings += await OnlineCheck(deployment, directory: request.directory).run() }
        return CheckReport(
            subject: request.source, findings: findings, facts: facts + Self.explain(deployment))
    }

    /// What is found before anything starts.
    ///
    /// - Parameter facts: of the machine; nil leaves the machine out.
    package static func findings(
        _ deployment: Deployment, places: CommandPlaces, facts: MachineFacts?
    ) -> [CheckFinding] {
        var set = CheckedSet(deployment, places: places)
        if let python = facts?.python {
            set.vllmVersion = python.version("vllm")
            set.nixlVersion = python.version("nixl")
            set.pythonVersion = python.python
        }
        let isOther = [.sglang, .trtllm, .llmd].contains(deployment.handoff)
        let isVLLM = deployment.engine == .vllm || deployment.engine == .auto
        var findings = isVLLM && !isOther ? CheckRules.run(set) : []
        if deployment.modelShape == nil, KVConnector(deployment.handoff)?.isLMCachePD == true,
            !findings.contains(where: { $0.check == .modelShape })
        {
            findings.append(
                CheckFinding(.modelShape, "model", "the shape of \(deployment.model) is not in the built-in table"))
        }
        let isSplit = deployment.prefill.urls.isEmpty != deployment.decode.urls.isEmpty
        if deployment.handoff == .lmcache, isSplit {
            findings.append(
                CheckFinding(.restartCoupling, "prefill and decode", "one role is started here, the other elsewhere"))
        }
        if let facts { findings += MachineRules.run(deployment, facts) }
        return findings
    }

    /// What `up` does before it starts a plan: notes warnings, and stops at errors. Ports were tried already.
    ///
    /// Simulated engines need none of it.
    package static func gate(
        _ plan: LaunchPlan, places: CommandPlaces, path: String, note: (String) -> Void
    ) async throws(CommandError) {
        guard plan.deployment.engine != .simulated else { return }
        let facts = await MachineProbe(path: path).facts(plan.deployment, places: places, ports: false)
        let report = CheckReport(
            subject: "check", findings: findings(plan.deployment, places: places, facts: facts))
        for line in report.lines(.warning) { note("warning: \(line)") }
        let errors = report.lines(.error)
        guard !errors.isEmpty else { return }
        throw CommandError(
            errors.joined(separator: "\n") + "\nnothing was started; --no-check starts all the same")
    }
}

extension Deployment {
    /// Where the file leaves the engine to the machine, takes what `up` has settled for the run in that folder.
    package mutating func takeEngine(from directory: String) {
        guard engine == .auto, let settled = try? Deployment(contentsOf: "\(directory)/deployment.yaml") else { return }
        engine = settled.engine
    }
}
