#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// A whole deployment under a load: what will its clients see?
public struct ServingQuestion: Sendable {
    /// The load.
    public var workload: Workload
    /// Prefill engines; 0 for engines that do both.
    public var prefills: Int
    /// Decode engines, or engines that do both.
    public var decodes: Int
    /// The hand-off.
    public var handoff: HandoffKind
    /// Who samples the first token under `lmcache`.
    public var firstToken = FirstTokenSource.prefill
    /// What must be kept.
    public var objectives = PlanObjectives()
    /// `--gpu-memory-utilization`.
    public var utilization = 0.9
    /// Requests to simulate.
    public var count = 2_000
    /// Seed of arrivals and lengths, and of the proxy's random choices.
    public var seed: UInt64 = 0
    /// How the proxy chooses among the engines.
    package var proxy = ClusterRouter.Settings()

    /// Creates a question.
    public init(workload: Workload, prefills: Int, decodes: Int, handoff: HandoffKind) {
        self.workload = workload
        self.prefills = prefills
        self.decodes = decodes
        self.handoff = handoff
    }

    /// The answer to a question.
    public struct Answer: Sendable {
        /// Time to the first token, mean with its range.
        public var ttft: Prediction
        /// Time between tokens, mean with its range.
        public var tpot: Prediction
        /// All that the simulation counted.
        public var report: SimulationReport
        /// Whether requests come faster than the engines take them: the numbers then grow with the length of the run.
        public var isOverloaded: Bool
        /// What the hand-off's times rest on.
        public var handoffBasis: String
    }

    /// Scatter of single requests on a real machine, relative: the calibration rows' p99 lies some 10 % above the median
    /// where nothing queues, which is 2.33 times this.
    private static let requestScatter = 0.04

    /// Simulates the deployment.
    ///
    /// - Parameters:
    ///   - prefill: the prefill engines; those that do both where there are none.
    ///   - decode: the decode engines.
    /// - Throws: ``CommandError`` where the model does not fit, with the numbers.
    package func answer(prefill: Predictor, decode: Predictor) throws(CommandError) -> Answer {
        let requests = workload.requests(count: count, seed: seed)
        let budget = MemoryBudget(decode.setup, utilization: utilization)
        if let shortage = budget.shortage(forTokens: workload.longestTokens) {
            throw CommandError("the decode engine does not fit: \(shortage); use more ranks or a larger GPU")
        }
        let decodeLimits = EngineLimits(decode.setup, kvTokens: budget.kvTokens)
        let profile = HandoffProfile(
            handoff, firstToken: firstToken, kvBytesPerToken: budget.kvBytesPerToken,
            linkGigabytesPerSecond: decode.setup.gpu.fabric == .switched
                ? decode.setup.gpu.linkGigabytesPerSecond : decode.setup.gpu.pcieGigabytesPerSecond)
        var proxy = proxy
        proxy.seed = seed
        let result: SimulationResult
        if prefills > 0, handoff != .none {
            let prefillBudget = MemoryBudget(prefill.setup, utilization: utilization)
            if let shortage = prefillBudget.shortage(forTokens: workload.longestInput) {
                throw CommandError("the prefill engine does not fit: \(shortage); use more ranks or a larger GPU")
            }
            let cluster = ClusterSimulation(
                prefill: (prefill.model, EngineLimits(prefill.setup, kvTokens: prefillBudget.kvTokens), prefills),
                decode: (decode.model, decodeLimits, decodes), handoff: profile, proxy: proxy)
            result = cluster.run(requests)
        } else {
            let count = max(1, prefills + decodes)
            let cluster = ClusterSimulation(engines: (decode.model, decodeLimits, count), proxy: proxy)
            result = cluster.run(requests)
        }
        // The first requests of a long run find empty engines; a short run is what was asked for.
        var report = SimulationReport(
            result, requests: requests, objectives: objectives, skipping: count >= 500 ? 0.1 : 0)
        report.ttft.p99 *= exp(2.33 * Self.requestScatter)
        report.tpot.p99 *= exp(2.33 * Self.requestScatter)
        let batch = max(1, Int(report.meanInFlight / Double(max(1, decodes))))
        let context = Int(workload.input.mean + workload.output.mean / 2)
        let ttftDeviation = prefill.servingDeviation(input: Int(workload.input.mean), batch: 1, context: 1).ttft
        let tpotDeviation = decode.servingDeviation(
            input: Int(workload.input.mean), batch: min(batch, decode.setup.maximumSequences), context: context
        ).tpot
        let busiest = max(report.prefillUtilization ?? 0, report.decodeUtilization)
        let arrivals = (requests.last?.arrival ?? 0) - (requests.first?.arrival ?? 0)
        let isOverloaded =
            max(result.prefillBusy.max() ?? 0, prefills == 0 ? result.decodeBusy.max() ?? 0 : 0) > arrivals * 1.02
            && busiest > 0.98 || result.end.max() ?? 0 > 2 * arrivals + 20 * (report.tpot.mean * workload.output.mean)
        return Answer(
            ttft: Prediction(report.ttft.mean, deviation: ttftDeviation, basis: prefill.basis),
            tpot: Prediction(report.tpot.mean, deviation: tpotDeviation, basis: decode.basis), report: report,
            isOverloaded: isOverloaded, handoffBasis: profile.basis)
    }
}
