/// Finds the layout with the highest goodput, or the smallest one for a rate.
///
/// First every layout is rated by formula (``PlanRates``): for each size of prefill and decode engines and each split of
/// the GPUs, some thousand cases. Then the best ones, and the best layouts of engines that do both, are simulated at
/// several rates, until it is known what they sustain.
package struct PlanSearch: Sendable {
    private let request: PlanRequest
    private let rates: PlanRates
    /// Prefill and decode engines by their ranks.
    private let apart: [Int: Predictor]
    /// Engines that do both by their ranks.
    private let together: [Int: Predictor]
    private let kvTokens: [Int: Int]
    private let shortages: [Int: PlanShortage]

    /// Prompts' tokens a step: engines that do both trade the time between tokens for the time to the first with it.
    private static let chunkSizes = [512, 2_048, 8_192]
    /// Layouts of each kind that are simulated.
    private static let simulated = 4

    /// Prepares a search.
    package init(_ request: PlanRequest) {
        self.request = request
        rates = PlanRates(request)
        var apart: [Int: Predictor] = [:]
        var together: [Int: Predictor] = [:]
        var kvTokens: [Int: Int] = [:]
        var shortages: [Int: PlanShortage] = [:]
        var ranks = 1
        while ranks <= min(request.maximumTensorParallel, request.largestHost) {
            defer { ranks *= 2 }
            guard request.setup.shape.attentionHeads % ranks == 0 else {
                shortages[ranks] = .rule("\(ranks) ranks do not divide \(request.setup.shape.attentionHeads) heads")
                continue
            }
            let predictor = request.predictor(ranks: ranks, isApart: false)
            let budget = MemoryBudget(predictor.setup, utilization: request.utilization)
            if let shortage = budget.shortage(forTokens: request.workload.longestTokens) {
                shortages[ranks] = .memory(shortage)
                continue
            }
            together[ranks] = predictor
            apart[ranks] = request.predictor(ranks: ranks, isApart: true)
            kvTokens[ranks] = budget.kvTokens
        }
        self.apart = apart
        self.together = together
        self.kvTokens = kvTokens
        self.shortages = shortages
    }

    /// Searches.
    package func run() -> PlanResult {
        var considered = 0
        let ratedApart = rated(gpus: request.gpus, isApart: true, considered: &considered)
        let ratedTogether = rated(gpus: request.gpus, isApart: false, considered: &considered)
        let tested = (shortlist(ratedApart) + shortlist(ratedTogether)).map(simulate)
        let ranked = tested.filter { $0.goodput > 0 }.sorted(by: isBetter)
        let best = ranked.first
        let bestApart = ranked.first { $0.layout.isDisaggregated }
        let bestTogether = ranked.first { !$0.layout.isDisaggregated }
        let fronts = rates.frontier(apart: apart, together: together, kvTokens: kvTokens)
        var result = PlanResult(
            request: request, best: best, candidates: ranked, bestApart: bestApart, bestTogether: bestTogether,
            frontApart: fronts.apart, frontTogether: fronts.together,
            basis: request.predictor(ranks: 1, isApart: best?.layout.isDisaggregated ?? true).basis,
            explanation: [], considered: considered)
        if let best {
            result.placement = try? PlacementSolver(
                hosts: request.hosts, networkGigabytesPerSecond: request.networkGigabytesPerSecond
            ).place(best.layout.engines)
            // One GPU more is rated by formula, so it is compared with what the formula said of the best one.
            let more = rated(gpus: request.gpus + 1, isApart: best.layout.isDisaggregated, considered: &considered)
                .first
            let now = rated(gpus: request.gpus, isApart: best.layout.isDisaggregated, considered: &considered).first
            if let more, let now, now.goodput > 0 {
                result.goodputWithOneMore = best.goodput * more.goodput / now.goodput
                result.layoutWithOneMore = more.layout
            }
        }
        result.explanation = PlanExplanation.sentences(result, shortages: shortages, failures: failures())
        return result
    }

    // MARK: By formula

    /// What stands against each size, where anything does.
    private func failures() -> [PlanShortage] {
        apart.sorted { $0.key < $1.key }.flatMap { _, predictor -> [PlanShortage] in
            var found: [PlanShortage] = []
            let ranks = predictor.setup.tensorParallel
            if case .failure(let shortage) = rates.decode(predictor, kvTokens: kvTokens[ranks] ?? 0) {
                found.append(shortage)
            }
            let budget = predictor.setup.maximumBatchedTokens
            if case .failure(let shortage) = rates.prefill(predictor, batchedTokens: budget, decode: predictor) {
                found.append(shortage)
            }
            return found
        }
    }

    /// All layouts for some GPUs, best first.
    private func rated(gpus: Int, isApart: Bool, considered: inout Int) -> [PlanCandidate] {
        let sizes = apart.keys.sorted()
        let predictors = isApart ? self.apart : together
        var result: [PlanCandidate] = []
        for size in sizes {
            guard let decode = predictors[size], let tokens = kvTokens[size] else { continue }
            guard isApart else {
                for chunk in Self.chunkSizes {
                    considered += 1
                    guard case .success(let point) = rates.together(decode, batchedTokens: chunk, kvTokens: tokens)
                    else {
                        continue
                    }
                    let count = needed(point.rate, of: gpus / size)
                    guard count > 0 else { continue }
                    let part = PlanLayout.Part(
                        count: count, tensorParallel: size, batchedTokens: chunk,
                        sequences: sequences(point.batch, decode.setup))
                    result.append(.init(layout: .init(decode: part), goodput: Double(count) * point.rate))
                }
                continue
            }
            guard case .success(let point) = rates.decode(decode, kvTokens: tokens) else { continue }
            for other in sizes {
                // LMCache's sender ranks write into receiver ranks of the same number.
                if request.handoff == .lmcache || request.handoff == .lmcacheLegacy, other != size { continue }
                guard let prefill = predictors[other] else { continue }
                let budget = prefill.setup.maximumBatchedTokens
                guard case .success(let rate) = rates.prefill(prefill, batchedTokens: budget, decode: decode), rate > 0
                else { continue }
                for decodes in 1...max(1, gpus / size) {
                    let rest = (gpus - decodes * size) / other
                    guard rest > 0 else { break }
                    considered += 1
                    // More prefill engines than the decode engines can follow only cost.
                    var prefills = min(rest, Int((Double(decodes) * point.rate / rate).rounded(.up)))
                    if request.isRateGiven { prefills = min(prefills, needed(rate, of: rest)) }
                    guard prefills > 0 else { continue }
                    let goodput = min(Double(prefills) * rate, Double(decodes) * point.rate)
                    let layout = PlanLayout(
                        prefill: .init(
                            count: prefills, tensorParallel: other, batchedTokens: budget,
                            sequences: prefill.setup.maximumSequences),
                        decode: .init(
                            count: decodes, tensorParallel: size, batchedTokens: decode.setup.maximumBatchedTokens,
                            sequences: sequences(point.batch, decode.setup)))
                    result.append(.init(layout: layout, goodput: goodput))
                }
            }
        }
        return result.sorted(by: isBetter)
    }

    /// Engines of one rate that the needed rate takes, at most `most`.
    private func needed(_ rate: Double, of most: Int) -> Int {
        guard request.isRateGiven, rate > 0 else { return most }
        return max(1, min(most, Int((request.workload.rate / rate).rounded(.up))))
    }

    /// A limit a little above the planned batch: what comes in bursts may run, and no more.
    private func sequences(_ batch: Int, _ setup: EngineSetup) -> Int {
        var limit = 8
        while limit < batch * 5 / 4 { limit *= 2 }
        return min(limit, setup.maximumSequences)
    }

    /// With a rate: what meets it, then fewer GPUs, then more goodput. Without: more goodput, then fewer GPUs.
    private func isBetter(_ first: PlanCandidate, _ second: PlanCandidate) -> Bool {
        if request.isRateGiven {
            let (one, two) = (first.goodput >= request.workload.rate, second.goodput >= request.workload.rate)
            if one != two { return one }
            if one, first.layout.gpus != second.layout.gpus { return first.layout.gpus < second.layout.gpus }
        }
        // Differences below half a per cent are none; fewer GPUs and simpler layouts decide.
        if abs(first.goodput - second.goodput) > 0.005 * max(first.goodput, second.goodput) {
            return first.goodput > second.goodput
        }
        if first.layout.gpus != second.layout.gpus { return first.layout.gpus < second.layout.gpus }
        return first.layout.name < second.layout.name
    }

    /// The best few, of different sizes and splits; where a rate is needed, also some with an engine more.
    private func shortlist(_ rated: [PlanCandidate]) -> [PlanCandidate] {
        var result = Array(rated.prefix(Self.simulated))
        for candidate in rated.dropFirst(Self.simulated) where result.count < 2 * Self.simulated {
            let isNew = !result.contains {
                $0.layout.decode.tensorParallel == candidate.layout.decode.tensorParallel
                    && $0.layout.prefill?.tensorParallel == candidate.layout.prefill?.tensorParallel
            }
            if isNew { result.append(candidate) }
        }
        guard request.isRateGiven, let first = result.first else { return result }
        for (prefills, decodes) in [(1, 0), (0, 1), (1, 1)] {
            var larger = first
            larger.layout.prefill?.count += prefills
            larger.layout.decode.count += decodes
            let isKnown = result.contains { $0.layout == larger.layout }
            if !isKnown, larger.layout.gpus <= request.gpus { result.append(larger) }
        }
        return result
    }

    // MARK: By simulation

    /// The rate that a layout sustains, and what clients see at it.
    private func simulate(_ candidate: PlanCandidate) -> PlanCandidate {
        var result = candidate
        result.isSimulated = true
        var low = 0.0
        var high = max(1e-3, candidate.goodput * 1.6)
        var report: SimulationReport?
        // A layout by formula is mostly within a third; the bisection ends at 2 %.
        for step in 0..<9 where high - low > 0.02 * high {
            let rate = step == 0 ? candidate.goodput : (low + high) / 2
            let outcome = run(candidate.layout, rate: rate)
            if request.objectives.areMet(by: outcome.report), !outcome.isOverloaded {
                low = rate
                report = outcome.report
                if step == 0 { high = min(high, rate * 1.6) }
            } else {
                high = rate
            }
        }
        result.goodput = low
        result.report = report
        if request.isRateGiven, low >= request.workload.rate {
            result.report = run(candidate.layout, rate: request.workload.rate).report
        }
        return result
    }

    private func run(_ layout: PlanLayout, rate: Double) -> (report: SimulationReport, isOverloaded: Bool) {
        let steps = max(1, request.workload.output.mean)
        let limit = request.objectives.tpot ?? 50
        // Long enough for several generations of requests, short enough for a quick search.
        let count = min(6_000, max(400, Int(rate * steps * limit / 1e3 * 3)))
        let requests = request.workload.requests(count: count, rate: rate, seed: request.seed)
        var proxy = request.proxy
        proxy.seed = request.seed
        let result: SimulationResult
        let decode = model(layout.decode, isApart: layout.isDisaggregated)
        if let part = layout.prefill {
            let prefill = model(part, isApart: true)
            proxy.decodeChunks = PDBuffers(layout, request)?.decodeChunks
            let cluster = ClusterSimulation(
                prefill: (prefill, limits(part, prefill), part.count),
                decode: (decode, limits(layout.decode, decode), layout.decode.count),
                handoff: request.profile(decode.setup), proxy: proxy)
            result = cluster.run(requests)
        } else {
            let cluster = ClusterSimulation(
                engines: (decode, limits(layout.decode, decode), layout.decode.count), proxy: proxy)
            result = cluster.run(requests)
        }
        let report = SimulationReport(result, requests: requests, objectives: request.objectives, skipping: 0.15)
        let arrivals = (requests.last?.arrival ?? 0) - (requests.first?.arrival ?? 0)
        let tail = (result.end.max() ?? 0) - (requests.last?.arrival ?? 0)
        // Refused requests, and what is still waiting when the last one has come, show that requests come too fast.
        return (
            report, report.refused > 0 || tail > 0.5 * arrivals + 3 * report.tpot.p50 * steps + 10 * report.ttft.p50
        )
    }

    private func model(_ part: PlanLayout.Part, isApart: Bool) -> CostModel {
        let predictor =
            (isApart ? apart : together)[part.tensorParallel]
            ?? request.predictor(ranks: part.tensorParallel, isApart: isApart)
        var setup = predictor.setup
        setup.maximumBatchedTokens = part.batchedTokens
        setup.maximumSequences = part.sequences
        return CostModel(setup, predictor.model.constants)
    }

    private func limits(_ part: PlanLayout.Part, _ model: CostModel) -> EngineLimits {
        EngineLimits(model.setup, kvTokens: kvTokens[part.tensorParallel] ?? 0)
    }
}
