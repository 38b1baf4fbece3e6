import DisaggCore

/// DistServe's simulator by the discrete-event core: OPT-13B coefficients on A100, prefill with one or two ranks.
enum DistServeReplica {
    /// Fitted step times: polynomials, and the overheads that its simulator adds.
    struct Timing: StepTiming {
        var prefill: (Double, Double, Double)

        func promptWork(tokens: Int, cached: Int) -> Double { Double(tokens) * Double(tokens) }

        func stepMilliseconds(
            prompts: Int, promptTokens: Int, work: Double, running: Int, contextTokens: Int
        ) -> Double {
            let tokens = Double(prompts > 0 ? promptTokens : contextTokens)
            if prompts > 0 { return prefill.0 + prefill.1 * tokens + prefill.2 * work + 3 + 1e-4 * tokens }
            return 19.934702624895458 + 0.0006269356524350583 * tokens + 0.03850697740828398 * Double(running) + 2
                + 1e-4 * tokens
        }

        func requestMilliseconds(promptTokens: Int) -> Double { 0 }
    }

    /// Its requests, when ours got their tokens, and its own times to the first and between tokens.
    static func run(
        _ name: String, isTwoRanks: Bool
    ) throws -> (requests: [WorkloadRequest], result: SimulationResult, expected: [[Double]]) {
        let requests = try WorkloadTrace.parse(try PlanningFixture.text("planner/\(name).json"), name: name)
        let expected = try PlanningFixture.text("planner/\(name).lat.csv").split(separator: "\n").dropFirst().map {
            line in
            line.split(separator: ",").compactMap { Double($0) }
        }
        let timing = Timing(
            prefill: isTwoRanks
                ? (14.742973695171262, 0.06857720739764, 2.4495727400243586e-6)
                : (18.10254647486372, 0.1019122572698738, 7.122264314252114e-06))
        var limits = EngineLimits(batchedTokens: 1 << 30, sequences: 1 << 20, kvTokens: 1 << 40)
        limits.chunksPrompts = false
        var handoff = HandoffProfile(.plain, firstToken: .decode, kvBytesPerToken: 0, linkGigabytesPerSecond: 1)
        handoff.sendMilliseconds = 0
        handoff.waitMilliseconds = 0
        handoff.stallMilliseconds = 0
        handoff.stepMilliseconds = 0
        // Its decode engine makes the whole answer, although the first token was the prefill engine's.
        handoff.answersFromPrefill = true
        let longer = requests.map { request in
            var request = request
            request.outputTokens += 1
            return request
        }
        let cluster = ClusterSimulation(
            prefill: (timing, limits, 1), decode: (timing, limits, 1), handoff: handoff)
        return (requests, cluster.run(longer), expected)
    }

    /// Mean time to the first token and between tokens, the latter over all tokens, as DistServe counts it.
    static func means(_ name: String, isTwoRanks: Bool) throws -> (ttft: Double, tpot: Double) {
        let (requests, result, _) = try run(name, isTwoRanks: isTwoRanks)
        let count = Double(max(1, requests.count))
        let ttft = zip(requests, result.firstToken).reduce(0) { $0 + $1.1 - $1.0.arrival }
        let tpot = requests.indices.reduce(0.0) {
            $0 + (result.end[$1] - result.firstToken[$1]) / Double(requests[$1].outputTokens)
        }
        return (ttft / count, tpot / count)
    }
}
