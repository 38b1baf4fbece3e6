/// Watches one run of a process: whether it is ready, and later whether it still answers.
///
/// Ready means more than an open port: `/health` answers 200, `/v1/models` lists the deployment's model, and the log of an
/// LMCache engine does not say that its part of the hand-off failed. Nothing here generates: a plain request to an LMCache
/// prefill engine ends it (Docs/EngineFacts.md row 3).
package struct EngineWatch: Sendable {
    /// What is found out.
    package enum Event: Sendable, Hashable {
        case ready
        /// It runs and can never serve, or serves no more.
        case faulty(String, isPermanent: Bool)
        /// It is ready, but something could not be seen.
        case doubt(String)
    }

    /// The process.
    package var process: LaunchPlan.Process
    /// Between two looks before it is ready.
    package var probeInterval: Duration
    /// Between two looks afterwards.
    package var healthInterval: Duration
    /// A ready process that answers nothing for so long counts as hung.
    package var hangTimeout: Duration
    /// How long the lines that prove a bind may come after the engine is healthy.
    package var evidencePatience: Duration
    /// It must be ready within this time; nil leaves that to others.
    package var readyTimeout: Duration?

    /// Bytes of the log that are looked at.
    private static let logLimit = 4 << 20

    /// Watches until the task is cancelled or the process is found faulty.
    package func run(_ report: (Event) -> Void) async {
        let clock = ContinuousClock()
        let start = clock.now
        while await HTTPProbe(url: process.readinessURL).run() != .status(200) {
            if let readyTimeout, clock.now - start > readyTimeout {
                return report(.faulty("not ready within \(ConfigText.text(readyTimeout))", isPermanent: false))
            }
            guard (try? await Task.sleep(for: probeInterval)) != nil else { return }
        }
        if let wrong = await wrongModel() { return report(.faulty(wrong, isPermanent: true)) }
        switch await evidence() {
        case .proven: break
        case .degraded(let line):
            return report(
                .faulty("LMCache runs in degraded mode, so nothing is handed off: \(line)", isPermanent: true))
        case .missing(let lines):
            report(.doubt("its log does not show \(lines.joined(separator: ", ")): is another process on this port?"))
        }
        guard !Task.isCancelled else { return }
        report(.ready)
        await watchHealth(report)
    }

    private func watchHealth(_ report: (Event) -> Void) async {
        let clock = ContinuousClock()
        var lastAnswer = clock.now
        var last = HTTPProbe.Outcome.status(200)
        while (try? await Task.sleep(for: healthInterval)) != nil {
            last = await HTTPProbe(url: process.healthURL).run()
            if Task.isCancelled { return }
            if last == .status(200) {
                lastAnswer = clock.now
            } else if clock.now - lastAnswer >= hangTimeout {
                let what =
                    switch last {
                    case .status(let code): "\(process.healthURL) answers \(code)"
                    case .unreachable(let reason): "\(process.healthURL) does not answer (\(reason))"
                    }
                return report(.faulty("\(what) since \(ConfigText.text(hangTimeout))", isPermanent: false))
            }
        }
    }

    /// What is wrong with the engine's list of models, nil where nothing is.
    private func wrongModel() async -> String? {
        guard let model = process.model else { return nil }
        let answer = await HTTPProbe(url: "\(process.url)/v1/models").fetch()
        // Engines without this list are no reason to stop; the proof decides.
        guard answer.outcome == .status(200), let list = try? JSONView(parsing: answer.body) else { return nil }
        let names = (list["data"]?.elements ?? []).compactMap { $0["id"]?.string }
        guard !names.contains(model) else { return nil }
        return "it serves \(names.isEmpty ? "no model" : names.joined(separator: ", ")), not \(model)"
    }

    /// The log's verdict, waited for a moment where lines are missing.
    private func evidence() async -> PDEvidence.Verdict {
        guard let evidence = process.evidence else { return .proven }
        let deadline = ContinuousClock.now + evidencePatience
        while true {
            let verdict = evidence.judge(
                LogTail.linesOfLastStart(of: process.command.logFile, limit: Self.logLimit))
            guard case .missing = verdict, ContinuousClock.now < deadline,
                (try? await Task.sleep(for: probeInterval)) != nil
            else { return verdict }
        }
    }
}
