/// What a simulation's clients saw.
public struct SimulationReport: Sendable, Hashable {
    /// The distribution of one latency, in ms.
    public struct Distribution: Sendable, Hashable {
        /// Arithmetic mean.
        public var mean: Double
        /// Median.
        public var p50: Double
        /// 90th percentile.
        public var p90: Double
        /// 99th percentile.
        public var p99: Double
        /// The largest value.
        public var maximum: Double

        /// Sorts values; a percentile is the value at rank q·(N−1), rounded down, as vLLM's benchmark takes it.
        public init(_ values: [Double]) {
            let sorted = values.sorted()
            func rank(_ share: Double) -> Double {
                sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(share * Double(sorted.count - 1)))]
            }
            mean = sorted.isEmpty ? 0 : sorted.reduce(0, +) / Double(sorted.count)
            p50 = rank(0.5)
            p90 = rank(0.9)
            p99 = rank(0.99)
            maximum = sorted.last ?? 0
        }

        /// The percentile that an objective names: 50, 90 or 99; others take the next one.
        public func percentile(_ percent: Int) -> Double { percent <= 50 ? p50 : percent <= 90 ? p90 : p99 }
    }

    /// Time from a request's arrival to its first token.
    public var ttft: Distribution
    /// Time between a request's tokens after the first; requests of one token have none.
    public var tpot: Distribution
    /// Requests a second that met every objective.
    public var goodput: Double
    /// Share of requests that met every objective, 0...1; those refused did not.
    public var attained: Double
    /// Requests that the proxy answered 429; no latency counts them.
    public var refused: Int
    /// Requests served a second from the first arrival to the last end.
    public var throughput: Double
    /// Output tokens a second from the first arrival to the last end.
    public var tokensPerSecond: Double
    /// Share of the time that the busiest prefill engine worked; nil where there is none.
    public var prefillUtilization: Double?
    /// Share of the time that the busiest decode engine worked.
    public var decodeUtilization: Double
    /// Mean number of requests under way (Little's law), by role where they are apart.
    public var meanInFlight: Double

    /// Sums up a result.
    ///
    /// - Parameter skipping: share of the first requests that do not count, as the queues are not in their usual state.
    public init(
        _ result: SimulationResult, requests: [WorkloadRequest], objectives: PlanObjectives, skipping: Double = 0
    ) {
        let first = min(requests.count, Int(Double(requests.count) * skipping))
        var ttfts: [Double] = []
        var tpots: [Double] = []
        var met = 0
        var tokens = 0
        var residence = 0.0
        for index in first..<requests.count where !result.refused[index] {
            let request = requests[index]
            let ttft = result.firstToken[index] - request.arrival
            ttfts.append(ttft)
            tokens += request.outputTokens
            residence += result.end[index] - request.arrival
            var tpot = 0.0
            if request.outputTokens > 1 {
                tpot = (result.end[index] - result.firstToken[index]) / Double(request.outputTokens - 1)
                tpots.append(tpot)
            }
            if objectives.areMet(ttft: ttft, tpot: tpot) { met += 1 }
        }
        let counted = max(1, requests.count - first)
        ttft = Distribution(ttfts)
        tpot = Distribution(tpots)
        let start = first < requests.count ? requests[first].arrival : 0
        let arrivals = max(1e-9, (requests.last?.arrival ?? 0) - start)
        let span = max(1e-9, (result.end.max() ?? 0) - start)
        attained = Double(met) / Double(counted)
        refused = requests.count - first - ttfts.count
        throughput = Double(ttfts.count) / span * 1e3
        // Over the time in which requests came: the tail in which the last ones finish would count against long answers.
        let offered = counted > 1 ? Double(counted - 1) / arrivals * 1e3 : throughput
        goodput = attained * min(offered, max(throughput, offered * Self.keptShare(result, arrivals: arrivals)))
        tokensPerSecond = Double(tokens) / span * 1e3
        let total = max(1e-9, (result.end.max() ?? 0) - (requests.first?.arrival ?? 0))
        prefillUtilization = result.prefillBusy.max().map { $0 / total }
        decodeUtilization = (result.decodeBusy.max() ?? 0) / total
        meanInFlight = residence / max(span, 1e-9)
    }

    /// 1 where engines work less than the time in which requests came; else the share they keep up with.
    private static func keptShare(_ result: SimulationResult, arrivals: Double) -> Double {
        let busiest = max(result.prefillBusy.max() ?? 0, result.decodeBusy.max() ?? 0)
        return busiest <= arrivals * 1.2 ? 1 : arrivals / busiest
    }
}
