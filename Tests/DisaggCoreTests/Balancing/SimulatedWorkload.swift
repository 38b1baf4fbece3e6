@testable import DisaggCore

/// A recorded workload: the same requests at the same times for every policy.
struct SimulatedWorkload {
    /// Tokens of one block of the simulated engines' prefix caches.
    static let blockTokens = 64

    struct Request {
        /// Seconds after the start.
        var arrival: Double
        var promptTokens: Int
        var outputTokens: Int
        var session: UInt64
        /// Chained hashes of the prompt's blocks, as an engine knows them.
        var blocks: [UInt64]
        /// Chained hashes of the prompt's blocks, as the proxy computes them.
        var prefixKeys: [UInt64]
    }

    /// One piece of a prompt; equal ids are equal text.
    struct Segment {
        var id: UInt64
        var tokens: Int
    }

    let name: String
    let requests: [Request]

    // MARK: Recording

    /// Independent prompts, Poisson arrivals.
    static func uniform(count: Int, rate: Double, seed: UInt64 = 1) -> SimulatedWorkload {
        var generator = SeededGenerator(seed: seed)
        var time = 0.0
        let requests = (0..<count).map { index in
            time += exponential(rate, &generator)
            return request(
                at: time, [Segment(id: UInt64(index) + 1, tokens: Int.random(in: 500...4000, using: &generator))],
                output: Int.random(in: 50...350, using: &generator), session: UInt64(index))
        }
        return SimulatedWorkload(name: "uniform", requests: requests)
    }

    /// Conversations over shared system prompts, both chosen by Zipf's law; each turn repeats all before it.
    static func sessions(count: Int, rate: Double, seed: UInt64 = 2) -> SimulatedWorkload {
        var generator = SeededGenerator(seed: seed)
        let prompts = Zipf(count: 20, exponent: 1)
        let users = Zipf(count: 300, exponent: 0.8)
        var histories: [Int: [Segment]] = [:]
        var nextID: UInt64 = 1_000_000
        var time = 0.0
        let requests = (0..<count).map { _ in
            time += exponential(rate, &generator)
            let user = users.draw(&generator)
            var history = histories[user] ?? []
            if history.isEmpty || history.reduce(0, { $0 + $1.tokens }) > 8000 {
                let prompt = prompts.draw(&generator)
                history = [Segment(id: UInt64(prompt) + 1, tokens: 1000 + 100 * prompt)]
            }
            nextID += 1
            history.append(Segment(id: nextID, tokens: Int.random(in: 100...600, using: &generator)))
            let output = Int.random(in: 50...350, using: &generator)
            let request = request(at: time, history, output: output, session: UInt64(user))
            nextID += 1
            history.append(Segment(id: nextID, tokens: output))
            histories[user] = history
            return request
        }
        return SimulatedWorkload(name: "sessions", requests: requests)
    }

    /// Independent prompts that come in bursts of four times the mean rate; a few prompts are very long.
    static func bursty(count: Int, rate: Double, seed: UInt64 = 3) -> SimulatedWorkload {
        var generator = SeededGenerator(seed: seed)
        var time = 0.0
        var burstEnds = 0.0
        var isBurst = false
        let requests = (0..<count).map { index in
            if time >= burstEnds {
                isBurst.toggle()
                burstEnds = time + (isBurst ? 2 : 8)
            }
            time += exponential(isBurst ? rate * 3 : rate / 2, &generator)
            let isLong = Int.random(in: 0..<20, using: &generator) == 0
            let tokens = isLong ? 12_000 : Int.random(in: 200...3000, using: &generator)
            return request(
                at: time, [Segment(id: UInt64(index) + 1, tokens: tokens)],
                output: Int.random(in: 50...350, using: &generator), session: UInt64(index))
        }
        return SimulatedWorkload(name: "bursty", requests: requests)
    }

    func renamed(_ name: String) -> SimulatedWorkload { SimulatedWorkload(name: name, requests: requests) }

    private static func exponential(_ rate: Double, _ generator: inout SeededGenerator) -> Double {
        let unit = Double.random(in: Double.leastNonzeroMagnitude..<1, using: &generator)
        return -naturalLogarithm(unit) / rate
    }

    private static func request(
        at time: Double, _ segments: [Segment], output: Int, session: UInt64
    ) -> Request {
        let tokens = segments.reduce(0) { $0 + $1.tokens }
        var blocks: [UInt64] = []
        var keys: [UInt64] = []
        var engineEnds = (1...max(1, tokens / blockTokens)).map { $0 * blockTokens }[...]
        var proxyEnds = (1...PrefixBlocks.maximumBlocks).map { PrefixBlocks.tokens(ofFirst: $0) }[...]
        var hash: UInt64 = 7
        var start = 0
        for segment in segments {
            hash = StableHash.mix(hash, segment.id)
            let end = start + segment.tokens
            // A block that ends inside a segment is named by the segments before, this one and the place in it.
            while let next = engineEnds.first, next <= end {
                blocks.append(StableHash.mix(hash, UInt64(next - start)))
                engineEnds.removeFirst()
            }
            while let next = proxyEnds.first, next <= end {
                keys.append(StableHash.mix(hash &+ 1, UInt64(next - start)))
                proxyEnds.removeFirst()
            }
            start = end
        }
        return Request(
            arrival: time, promptTokens: tokens, outputTokens: output, session: StableHash.mix(session, 5),
            blocks: blocks, prefixKeys: keys)
    }
}

/// Numbers from 0 whose probability falls with a power of their rank.
struct Zipf {
    private let cumulative: [Double]

    init(count: Int, exponent: Double) {
        var sum = 0.0
        cumulative = (1...count).map { rank in
            sum += power(Double(rank), -exponent)
            return sum
        }
    }

    func draw(_ generator: inout SeededGenerator) -> Int {
        let value = Double.random(in: 0..<(cumulative.last ?? 1), using: &generator)
        return cumulative.firstIndex { value < $0 } ?? cumulative.count - 1
    }
}
