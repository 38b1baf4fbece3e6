import DisaggCore
import Testing

#if canImport(Glibc)
import Glibc
#endif

/// One server whose time for a request is its prompt's length in ms.
private struct ServerTiming: StepTiming {
    func promptWork(tokens: Int, cached: Int) -> Double { 0 }
    func stepMilliseconds(prompts: Int, promptTokens: Int, work: Double, running: Int, contextTokens: Int) -> Double {
        Double(promptTokens)
    }
    func requestMilliseconds(promptTokens: Int) -> Double { 0 }
}

@Suite struct ClusterSimulationTests {
    @Test(arguments: [("d1", true), ("d3", false)])
    func everyRequestOfDistServesSimulatorIsMet(name: String, isTwoRanks: Bool) throws {
        let (requests, result, expected) = try DistServeReplica.run(name, isTwoRanks: isTwoRanks)
        for (index, request) in requests.enumerated() {
            let ttft = result.firstToken[index] - request.arrival
            #expect(abs(ttft - expected[index][0]) < 0.01, "\(name), request \(index)")
        }
        let mean = expected.reduce(0) { $0 + $1[1] } / Double(expected.count)
        let tpot = try DistServeReplica.means(name, isTwoRanks: isTwoRanks).tpot
        #expect(abs(tpot / mean - 1) < 0.001, "\(name)")
    }

    private func meanWait(_ requests: [WorkloadRequest]) -> Double {
        // One prompt a step, the next one when it is done: a single server.
        var limits = EngineLimits(batchedTokens: 1, sequences: 1, kvTokens: 1 << 40)
        limits.chunksPrompts = false
        let cluster = ClusterSimulation(
            engines: (ServerTiming(), limits, 1))
        let result = cluster.run(requests)
        return zip(requests, result.end).reduce(0) { $0 + $1.1 - $1.0.arrival } / Double(requests.count)
    }

    @Test(arguments: [0.2, 0.524, 0.8])
    func aServerOfConstantTimeIsMD1(utilization: Double) {
        let service = 100
        let rate = utilization / Double(service) * 1e3
        let load = Workload(input: .constant(service), output: .constant(1), rate: rate)
        let mean = meanWait(load.requests(count: 200_000, seed: 1))
        let theory = Double(service) * (1 + utilization / (2 * (1 - utilization)))
        #expect(abs(mean / theory - 1) < 0.02, "\(mean) instead of \(theory)")
    }

    @Test(arguments: [0.3, 0.6])
    func aServerOfExponentialTimesIsMM1(utilization: Double) {
        let service = 1_000.0
        let rate = utilization / service * 1e3
        var random = SeededRandom(seed: 5)
        let load = Workload(input: .constant(1), output: .constant(1), rate: rate)
        let requests = load.requests(count: 200_000, seed: 2).map { request in
            var request = request
            request.inputTokens = max(1, Int((-log(random.unit()) * service).rounded()))
            return request
        }
        let theory = service / (1 - utilization)
        let mean = meanWait(requests)
        #expect(abs(mean / theory - 1) < 0.03, "\(mean) instead of \(theory)")
    }

    @Test func theSameSeedGivesTheSameResultToTheBit() throws {
        let model = try PlanningFixture.h200(eager: false).model
        func run(seed: UInt64) -> SimulationResult {
            let load = Workload(
                input: .logNormal(mean: 1_155, variation: 0.8), output: .uniform(20...300), rate: 20, burstiness: 0.5)
            let limits = EngineLimits(model.setup, kvTokens: 500_000)
            let cluster = ClusterSimulation(
                prefill: (model, limits, 2), decode: (model, limits, 1),
                handoff: HandoffProfile(.lmcache, kvBytesPerToken: 131_072, linkGigabytesPerSecond: 450))
            return cluster.run(load.requests(count: 2_000, seed: seed))
        }
        #expect(run(seed: 3) == run(seed: 3))
        #expect(run(seed: 3) != run(seed: 4))
    }

    @Test func everyRequestEndsAfterItsFirstTokenAndKVIsBounded() throws {
        let model = try PlanningFixture.h200(eager: false).model
        for seed in 0..<5 as Range<UInt64> {
            let load = Workload(input: .uniform(1...20_000), output: .uniform(1...400), rate: 30)
            let requests = load.requests(count: 400, seed: seed)
            var limits = EngineLimits(model.setup, kvTokens: 60_000)
            limits.bufferTokens = 30_000
            let cluster = ClusterSimulation(
                prefill: (model, limits, 1), decode: (model, limits, 2),
                handoff: HandoffProfile(.lmcache, kvBytesPerToken: 131_072, linkGigabytesPerSecond: 450))
            let result = cluster.run(requests)
            #expect(result.peakKVTokens <= 60_000)
            for (index, request) in requests.enumerated() {
                #expect(result.firstToken[index] > request.arrival)
                #expect(result.end[index] >= result.firstToken[index])
            }
        }
    }

    @Test func aSmallBufferHoldsTransfersBack() throws {
        let model = try PlanningFixture.h200(eager: true).model
        let load = Workload(input: .constant(4_000), output: .constant(50), rate: 8, burstiness: 1)
        func run(_ tokens: Int) -> Double {
            var limits = EngineLimits(model.setup, kvTokens: 500_000)
            limits.bufferTokens = tokens
            let cluster = ClusterSimulation(
                prefill: (model, limits, 4), decode: (model, limits, 1),
                handoff: HandoffProfile(.lmcache, kvBytesPerToken: 131_072, linkGigabytesPerSecond: 450))
            let requests = load.requests(count: 300, seed: 1)
            return SimulationReport(cluster.run(requests), requests: requests, objectives: .init()).tpot.mean
        }
        #expect(run(4_001) > run(1 << 30))
    }
}
