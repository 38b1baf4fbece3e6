/// A load to plan for: lengths and arrivals, or a trace of them.
public struct Workload: Sendable, Hashable {
    /// Lengths of prompts.
    public var input: LengthDistribution
    /// Lengths of answers.
    public var output: LengthDistribution
    /// Requests a second.
    public var rate: Double
    /// Shape of the gaps between arrivals: 1 is a Poisson process, infinity even gaps; see ``ArrivalProcess``.
    public var burstiness: Double
    /// The requests of a trace, in order of arrival; replaces the lengths and arrivals above where not empty.
    public var trace: [WorkloadRequest] = []

    /// Creates a load.
    public init(input: LengthDistribution, output: LengthDistribution, rate: Double, burstiness: Double = 1) {
        self.input = input
        self.output = output
        self.rate = rate
        self.burstiness = burstiness
    }

    /// Creates the load of a trace; its lengths and rate are the trace's own.
    public init(trace: [WorkloadRequest]) {
        let count = max(1, trace.count)
        let sums = trace.reduce((0.0, 0.0)) { ($0.0 + Double($1.inputTokens), $0.1 + Double($1.outputTokens)) }
        input = .constant(max(1, Int((sums.0 / Double(count)).rounded())))
        output = .constant(max(1, Int((sums.1 / Double(count)).rounded())))
        let span = (trace.last?.arrival ?? 0) - (trace.first?.arrival ?? 0)
        rate = span > 0 ? Double(count - 1) / span * 1e3 : 1
        burstiness = 1
        self.trace = trace
    }

    /// The longest request, in tokens of prompt and answer.
    public var longestTokens: Int {
        trace.isEmpty
            ? input.longest + output.longest : trace.reduce(1) { max($0, $1.inputTokens + $1.outputTokens) }
    }

    /// The longest prompt, in tokens.
    public var longestInput: Int {
        trace.isEmpty ? input.longest : trace.reduce(1) { max($0, $1.inputTokens) }
    }

    /// Draws requests; the same seed gives the same ones, whatever the rate: only their times scale.
    ///
    /// - Parameters:
    ///   - count: how many; of a trace at most all.
    ///   - rate: requests a second, in place of the load's own.
    public func requests(count: Int, rate: Double? = nil, seed: UInt64) -> [WorkloadRequest] {
        let wanted = max(1e-6, rate ?? self.rate)
        guard trace.isEmpty else {
            let scale = self.rate / wanted
            let start = trace.first?.arrival ?? 0
            return trace.prefix(count).map {
                WorkloadRequest(
                    arrival: ($0.arrival - start) * scale, inputTokens: $0.inputTokens, outputTokens: $0.outputTokens)
            }
        }
        var arrivals = ArrivalProcess(rate: wanted, burstiness: burstiness, seed: seed)
        var lengths = SeededRandom(seed: seed, stream: 2)
        var now = 0.0
        return (0..<max(0, count)).map { index in
            if index > 0 { now += Double(arrivals.nextGap()) / 1e6 }
            return WorkloadRequest(
                arrival: now, inputTokens: input.next(&lengths), outputTokens: output.next(&lengths))
        }
    }
}
