#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// What one engine can take, by formula: what the search prunes with before it simulates.
///
/// Prefill is a queue with one server: the wait's tail is taken as exponential with the mean of M/G/1 (Pollaczek and
/// Khinchine; DistServe's equations 1 to 3 are the case of constant times). Decode is Little's law: a batch of B requests,
/// each o − 1 steps long.
struct PlanRates: Sendable {
    let request: PlanRequest
    /// Lengths of requests, drawn once.
    private let sample: [WorkloadRequest]
    private let output: Double
    private let context: Int

    /// No queue is planned fuller than this: arrivals scatter more than any model.
    static let fullest = 0.92

    init(_ request: PlanRequest) {
        self.request = request
        sample = request.workload.requests(count: 200, seed: request.seed)
        output = sample.reduce(0.0) { $0 + Double($1.outputTokens) } / Double(max(1, sample.count))
        let input = sample.reduce(0.0) { $0 + Double($1.inputTokens) } / Double(max(1, sample.count))
        context = Int(input + output / 2)
    }

    /// Time of a prompt's steps on an engine, without what the request waits for beside them.
    private func service(_ predictor: Predictor, batchedTokens: Int) -> (mean: Double, square: Double, high: Double) {
        var setup = predictor.setup
        setup.maximumBatchedTokens = batchedTokens
        let model = CostModel(setup, predictor.model.constants)
        let times = sample.map {
            model.promptMilliseconds(tokens: $0.inputTokens) - model.requestMilliseconds(promptTokens: $0.inputTokens)
        }.sorted()
        let count = Double(max(1, times.count))
        let high = times.isEmpty ? 0 : times[min(times.count - 1, times.count * request.objectives.percentile / 100)]
        return (times.reduce(0, +) / count, times.reduce(0) { $0 + $1 * $1 } / count, high)
    }

    /// Requests a second that one prefill engine takes, or why it takes none.
    func prefill(_ predictor: Predictor, batchedTokens: Int, decode: Predictor) -> Result<Double, PlanShortage> {
        let service = service(predictor, batchedTokens: batchedTokens)
        let profile = request.profile(decode.setup)
        let input = sample.map(\.inputTokens).max() ?? 1
        var beside = predictor.model.requestMilliseconds(promptTokens: input) + profile.send(tokens: input)
        if !profile.answersFromPrefill {
            beside +=
                profile.wait(tokens: input) + profile.stall(tokens: input)
                + decode.model.decodeMilliseconds(batch: 8, context: context)
        }
        return queue(service, beside: beside)
    }

    /// The highest rate at which `percentile` of the requests get their first token in time.
    private func queue(
        _ service: (mean: Double, square: Double, high: Double), beside: Double
    ) -> Result<Double, PlanShortage> {
        guard let limit = request.objectives.ttft else { return .success(Self.fullest / service.mean * 1e3) }
        let slack = limit - beside - service.high
        guard slack >= 0 else { return .failure(.ttft(beside + service.high)) }
        let late = 1 - Double(request.objectives.percentile) / 100
        var (low, high) = (0.0, Self.fullest)
        for _ in 0..<40 {
            let use = (low + high) / 2
            let wait = use / service.mean * service.square / (2 * (1 - use))
            // Of the share `use` that waits at all, the mean wait is wait / use.
            let tail = wait > 0 ? use * exp(-slack / max(1e-9, wait / use)) : 0
            if tail <= late { low = use } else { high = use }
        }
        return .success(low / service.mean * 1e3)
    }

    /// Requests a second that one decode engine takes, and with how many running; or why it takes none.
    func decode(_ predictor: Predictor, kvTokens: Int) -> Result<(rate: Double, batch: Int), PlanShortage> {
        let profile = request.profile(predictor.setup)
        let stall = profile.stall(tokens: max(1, context - Int(output / 2)))
        let most = min(predictor.setup.maximumSequences, max(1, kvTokens / max(1, context + Int(output / 2))))
        let steps = max(1, output - 1)
        /// Time between tokens with B running, and the rate: joining requests hold the others up.
        func point(_ batch: Int) -> (tpot: Double, rate: Double) {
            let step = predictor.model.decodeMilliseconds(batch: batch, context: context) + profile.stepMilliseconds
            let share = Double(batch) * stall / steps
            let tpot = step + share
            return (tpot, Double(batch) / (steps * tpot) * 1e3)
        }
        let limit = request.objectives.tpot ?? .infinity
        guard point(1).tpot <= limit else { return .failure(.tpot(point(1).tpot)) }
        var (low, high) = (1, most + 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            if point(middle).tpot <= limit { low = middle } else { high = middle }
        }
        return .success((Self.fullest * point(low).rate, low))
    }

    /// Requests a second that one engine takes that does both, and with how many running; or why it takes none.
    func together(
        _ predictor: Predictor, batchedTokens: Int, kvTokens: Int
    ) -> Result<(rate: Double, batch: Int), PlanShortage> {
        let service = service(predictor, batchedTokens: batchedTokens)
        let most = min(predictor.setup.maximumSequences, max(1, kvTokens / max(1, context + Int(output / 2))))
        let steps = max(1, output - 1)
        let floor = predictor.model.decodeMilliseconds(batch: 1, context: context)
        let limit = request.objectives.tpot ?? .infinity
        guard floor <= limit else { return .failure(.tpot(floor)) }
        let beside = predictor.model.requestMilliseconds(promptTokens: sample.map(\.inputTokens).max() ?? 1)
        /// Whether a rate can be kept, and the batch it makes.
        func batch(at rate: Double) -> Int? {
            let use = rate * service.mean / 1e3
            guard use < Self.fullest else { return nil }
            // Steps with prompts take the prompts' time more; B and the time between tokens depend on each other.
            var running = 1.0
            var tpot = floor
            for _ in 0..<60 {
                tpot =
                    predictor.model.decodeMilliseconds(batch: max(1, Int(running.rounded(.up))), context: context)
                    / (1 - use)
                let next = rate / 1e3 * steps * tpot
                if abs(next - running) < 0.01 { break }
                running = min((running + next) / 2, 4 * Double(most))
            }
            guard tpot <= limit, running <= Double(most) else { return nil }
            if let ttft = request.objectives.ttft {
                let step = predictor.model.decodeMilliseconds(batch: max(1, Int(running)), context: context)
                let wait = use / service.mean * service.square / (2 * (1 - use))
                let late = 1 - Double(request.objectives.percentile) / 100
                let slack = ttft - beside - service.high - step
                guard slack >= 0, use == 0 || use * exp(-slack / max(1e-9, wait / use)) <= late else { return nil }
            }
            return max(1, Int(running.rounded(.up)))
        }
        guard batch(at: 1e-6) != nil else { return .failure(.ttft(beside + service.high + floor)) }
        var (low, high) = (1e-6, 1e3 / service.mean)
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if batch(at: middle) != nil { low = middle } else { high = middle }
        }
        return .success((low, batch(at: low) ?? 1))
    }

    /// Output tokens a second and GPU against tokens a second and user, for batches of any size.
    func frontier(
        apart: [Int: Predictor], together: [Int: Predictor], kvTokens: [Int: Int]
    ) -> (apart: [PlanPoint], together: [PlanPoint]) {
        let steps = max(1, output - 1)
        func points(_ predictors: [Int: Predictor], _ point: (Predictor, Double, Int) -> (Double, Double))
            -> [PlanPoint]
        {
            var result: [PlanPoint] = []
            for (size, predictor) in predictors.sorted(by: { $0.key < $1.key }) {
                let room = (kvTokens[size] ?? 0) / max(1, context + Int(output / 2))
                let prompt = service(predictor, batchedTokens: predictor.setup.maximumBatchedTokens).mean
                var batch = 1
                while batch <= min(predictor.setup.maximumSequences, max(1, room)) {
                    let (perUser, perGPU) = point(predictor, prompt, batch)
                    result.append(.init(perUser: perUser, perGPU: perGPU, ranks: size, batch: batch))
                    batch = max(batch + 1, batch * 5 / 4)
                }
            }
            return PlanPoint.front(result)
        }
        let first = points(apart) { predictor, prompt, batch in
            let profile = request.profile(predictor.setup)
            let stall = profile.stall(tokens: max(1, context - Int(output / 2)))
            let time =
                predictor.model.decodeMilliseconds(batch: batch, context: context) + profile.stepMilliseconds
                + Double(batch) * stall / steps
            let rate = Double(batch) / (steps * time) * 1e3
            // As many prefill engines as the decode engine needs, in fractions.
            let gpus = Double(predictor.setup.tensorParallel) * (1 + rate * prompt / 1e3 / Self.fullest)
            return (1e3 / time, rate * output / gpus)
        }
        let second = points(together) { predictor, prompt, batch in
            let time =
                predictor.model.decodeMilliseconds(batch: batch, context: context) + Double(batch) * prompt / steps
            let rate = Double(batch) / (steps * time) * 1e3
            return (1e3 / time, rate * output / Double(predictor.setup.tensorParallel))
        }
        return (first, second)
    }
}
