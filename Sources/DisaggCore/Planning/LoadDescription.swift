/// A load and the deployment under it as the command line and files describe them, before names are looked up.
package struct LoadDescription: Sendable {
    /// Lengths of prompts and answers: `7500`, `1000-2000` or `1155~0.8`.
    package var input: String?
    package var output: String?
    /// Name and text of a trace file, in place of lengths and arrivals.
    package var trace: (name: String, text: String)?
    /// Requests a second.
    package var rate: Double?
    /// `even`, `poisson` or the shape of a gamma distribution.
    package var burstiness: String
    /// `ttft=500ms,tpot=50ms`.
    package var objectives: String?
    /// Share of requests that must keep them, in percent.
    package var percentile = 90
    /// A hand-off's name.
    package var handoff = "lmcache"
    /// `prefill` or `decode`.
    package var firstToken: String
    /// `--gpu-memory-utilization`.
    package var utilization = 0.9
    /// Seed of arrivals and lengths.
    package var seed: UInt64 = 0
    /// A policy's name for both roles, in place of the deployment's.
    package var policy: String?
    /// A deployment file whose section `routing` counts.
    package var deployment: String?

    /// Describes arrivals and the first token's source; all else has a default.
    package init(burstiness: String, firstToken: String) {
        self.burstiness = burstiness
        self.firstToken = firstToken
    }

    /// The load. Without a rate it is one request a second.
    func workload() throws(CommandError) -> Workload {
        if let rate, !(rate > 0 && rate <= 1e6) {
            throw CommandError("--rate: expected requests a second above 0, at most 1000000, got \(rate)")
        }
        if let trace {
            var load = Workload(trace: try WorkloadTrace.parse(trace.text, name: trace.name))
            if let rate { load.rate = rate }
            return load
        }
        guard let input, let output else { throw CommandError("give --isl and --osl, or --trace FILE") }
        return Workload(
            input: try LengthDistribution(input, option: "--isl"),
            output: try LengthDistribution(output, option: "--osl"),
            rate: rate ?? 1, burstiness: try shape())
    }

    private func shape() throws(CommandError) -> Double {
        if burstiness == "even" { return .infinity }
        if burstiness == "poisson" { return 1 }
        guard let value = Double(burstiness), value > 0 else {
            throw CommandError("--burstiness: expected even, poisson or a number above 0, got \"\(burstiness)\"")
        }
        return value
    }

    func handoffKind() throws(CommandError) -> HandoffKind {
        guard let kind = HandoffKind(rawValue: handoff) else {
            throw CommandError(
                "--handoff: expected \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")), got \"\(handoff)\""
            )
        }
        return kind
    }

    func firstTokenSource() throws(CommandError) -> FirstTokenSource {
        guard let source = FirstTokenSource(rawValue: firstToken) else {
            throw CommandError("--first-token: expected prefill or decode, got \"\(firstToken)\"")
        }
        return source
    }

    /// The objectives; none where none are given.
    func planObjectives() throws(CommandError) -> PlanObjectives {
        guard (50...99).contains(percentile) else {
            throw CommandError("--percentile: expected 50...99, got \(percentile)")
        }
        guard let objectives else { return PlanObjectives(percentile: percentile) }
        return try PlanObjectives(parsing: objectives, percentile: percentile)
    }

    /// What the simulated proxy is told: the deployment file's section, the policy named beside it.
    func proxy() throws(CommandError) -> ClusterRouter.Settings {
        var settings = ClusterRouter.Settings()
        if let deployment {
            do throws(DeploymentError) {
                settings = ClusterRouter.Settings(try Deployment(contentsOf: deployment))
            } catch {
                throw CommandError(error.description)
            }
        }
        guard let policy else { return settings }
        guard let kind = PolicyKind(rawValue: policy) else {
            throw CommandError(
                "--policy: expected \(PolicyKind.allCases.map(\.rawValue).joined(separator: ", ")), got \"\(policy)\"")
        }
        settings.routing.prefill.policy = kind
        settings.routing.decode.policy = kind
        return settings
    }

    func checkedUtilization() throws(CommandError) -> Double {
        guard utilization > 0, utilization <= 1 else {
            throw CommandError("--gpu-memory-utilization: expected above 0 and at most 1, got \(utilization)")
        }
        return utilization
    }
}
