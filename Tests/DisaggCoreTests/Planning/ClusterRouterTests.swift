import Testing

@testable import DisaggCore

/// The simulated proxy chooses by the running proxy's own policies and limits.
@Suite struct ClusterRouterTests {
    private func settings(_ policy: PolicyKind) -> ClusterRouter.Settings {
        var settings = ClusterRouter.Settings()
        settings.routing.prefill.policy = policy
        settings.routing.decode.policy = policy
        return settings
    }

    private func cluster(
        _ proxy: ClusterRouter.Settings, prefills: Int = 2, decodes: Int = 2, kvTokens: Int = 500_000
    ) throws -> ClusterSimulation<CostModel> {
        let model = try PlanningFixture.h200(eager: false).model
        let limits = EngineLimits(model.setup, kvTokens: kvTokens)
        return ClusterSimulation(
            prefill: (model, limits, prefills), decode: (model, limits, decodes),
            handoff: HandoffProfile(.lmcache, kvBytesPerToken: 131_072, linkGigabytesPerSecond: 450), proxy: proxy)
    }

    private static let load = Workload(
        input: .logNormal(mean: 2_000, variation: 1.5), output: .uniform(1...300), rate: 25)

    @Test(arguments: PolicyKind.allCases)
    func everyPolicyServesEveryRequestAndIsDeterministic(policy: PolicyKind) throws {
        let requests = Self.load.requests(count: 1_000, seed: 7)
        let first = try cluster(settings(policy)).run(requests)
        #expect(first == (try cluster(settings(policy)).run(requests)))
        for (index, request) in requests.enumerated() {
            #expect(first.firstToken[index] > request.arrival && first.end[index] >= first.firstToken[index])
        }
    }

    @Test func anotherSeedDrawsOtherEngines() throws {
        let requests = Self.load.requests(count: 500, seed: 7)
        var proxy = settings(.random)
        let first = try cluster(proxy).run(requests)
        proxy.seed = 1
        #expect(first != (try cluster(proxy).run(requests)))
    }

    @Test func requestsInTurnAreDealtExactlyInTurn() {
        let router = ClusterRouter(prefills: 2, decodes: 3, settings(.roundRobin))
        let request = WorkloadRequest(arrival: 0, inputTokens: 100, outputTokens: 10)
        let choices = (0..<6).compactMap { _ in router.route(request, at: 0) }
        #expect(choices.map(\.prefill) == [0, 1, 0, 1, 0, 1])
        #expect(choices.map(\.decode) == [0, 1, 2, 0, 1, 2])
    }

    /// One long prompt and short ones after it: who looks at the load sends these elsewhere.
    @Test(arguments: [PolicyKind.pairCost, .leastTokens])
    func aPolicyThatSeesTheLoadGoesRoundALongPrompt(policy: PolicyKind) {
        let router = ClusterRouter(prefills: 2, decodes: 1, settings(policy))
        let long = router.route(WorkloadRequest(arrival: 0, inputTokens: 60_000, outputTokens: 10), at: 0)
        for _ in 0..<10 {
            let short = router.route(WorkloadRequest(arrival: 1, inputTokens: 100, outputTokens: 10), at: 1)
            #expect(short?.prefill != long?.prefill)
        }
    }

    @Test func theDefaultPolicyBeatsTurnsWhereLengthsDiffer() throws {
        let requests = Self.load.requests(count: 2_000, seed: 3)
        func tail(_ policy: PolicyKind) throws -> Double {
            let result = try cluster(settings(policy)).run(requests)
            return SimulationReport(result, requests: requests, objectives: .init()).ttft.p90
        }
        #expect(try tail(.pairCost) < 0.9 * tail(.roundRobin))
    }

    @Test func theDefaultPolicyIsNotBehindOthersWhereEnginesDoBoth() throws {
        let model = try PlanningFixture.h200(eager: false).model
        let limits = EngineLimits(model.setup, kvTokens: 500_000)
        let requests = Self.load.requests(count: 3_000, seed: 3)
        func tail(_ policy: PolicyKind) throws -> Double {
            let result = ClusterSimulation(engines: (model, limits, 4), proxy: settings(policy)).run(requests)
            return SimulationReport(result, requests: requests, objectives: .init()).ttft.p90
        }
        let own = try tail(.pairCost)
        for policy in [PolicyKind.roundRobin, .leastLoaded, .leastTokens, .powerOfTwo] {
            let other = try tail(policy)
            #expect(own <= 1.05 * other, "\(own) ms, \(policy.rawValue) \(other) ms")
        }
    }

    @Test func aLimitOfOneLetsRequestsWaitInTheProxy() throws {
        var proxy = settings(.roundRobin)
        proxy.routing.decode.maximumInFlight = 1
        let requests = (0..<20).map { WorkloadRequest(arrival: Double($0), inputTokens: 500, outputTokens: 20) }
        let result = try cluster(proxy, decodes: 1).run(requests)
        for index in 1..<20 { #expect(result.firstToken[index] > result.end[index - 1]) }
    }

    /// One request at a time: of twenty at once, one is served and as many wait as the queue holds.
    @Test(arguments: [0, 5, 19])
    func aFullQueueRefuses(queue: Int) throws {
        var proxy = settings(.roundRobin)
        proxy.routing.decode.maximumInFlight = 1
        proxy.admission.queue = queue
        let requests = (0..<20).map { _ in WorkloadRequest(arrival: 0, inputTokens: 500, outputTokens: 20) }
        let result = try cluster(proxy, decodes: 1).run(requests)
        #expect(result.refused == (0..<20).map { $0 > queue })
        for index in 0..<20 { #expect((result.end[index] > 0) == (index <= queue)) }
        let report = SimulationReport(result, requests: requests, objectives: .init())
        #expect(report.refused == 19 - queue)
        #expect(report.attained == Double(queue + 1) / 20)
        #expect(report.ttft.mean > 0 && report.ttft.maximum < 20 * 1_000)
    }

    @Test func whoWaitsTooLongIsRefusedAndTheNextIsServed() throws {
        var proxy = settings(.roundRobin)
        proxy.routing.decode.maximumInFlight = 1
        proxy.admission.queueTimeout = .milliseconds(500)
        // The first answer takes seconds; the second request waits too long for it, the last one comes when it is over.
        let requests = [
            WorkloadRequest(arrival: 0, inputTokens: 500, outputTokens: 1_000),
            WorkloadRequest(arrival: 10, inputTokens: 500, outputTokens: 20),
            WorkloadRequest(arrival: 60_000, inputTokens: 500, outputTokens: 20),
        ]
        let result = try cluster(proxy, decodes: 1).run(requests)
        #expect(result.refused == [false, true, false])
        proxy.admission.queueTimeout = .seconds(60)
        #expect(try cluster(proxy, decodes: 1).run(requests).refused == [false, false, false])
    }

    /// A decoder's buffer has room for one prompt of 1,000 tokens: the next is sent when the first was used.
    @Test func aFullBufferHoldsPrefillsBack() throws {
        let requests = (0..<10).map { WorkloadRequest(arrival: Double($0), inputTokens: 1_000, outputTokens: 20) }
        var proxy = settings(.pairCost)
        let free = try cluster(proxy, prefills: 4, decodes: 1).run(requests)
        proxy.decodeChunks = 4
        let held = try cluster(proxy, prefills: 4, decodes: 1).run(requests)
        #expect(held.end.max() ?? 0 > 1.5 * (free.end.max() ?? 0))
        let router = ClusterRouter(prefills: 1, decodes: 1, proxy)
        var first = try #require(router.route(requests[0], at: 0))
        #expect(router.route(requests[1], at: 1) == nil)
        router.prefillEnded(first, at: 40)
        #expect(router.route(requests[1], at: 41) == nil)
        router.decodeBegan(&first, at: 50)
        #expect(router.route(requests[1], at: 51) != nil)
    }

    @Test func nothingIsLeftInTheMetersAtTheEnd() throws {
        for policy in PolicyKind.allCases {
            var proxy = settings(policy)
            proxy.decodeChunks = 64
            proxy.routing.prefill.maximumInFlight = 3
            let router = ClusterRouter(prefills: 2, decodes: 2, proxy)
            let model = try PlanningFixture.h200(eager: true).model
            let limits = EngineLimits(model.setup, kvTokens: 60_000)
            let run = ClusterRun(
                Self.load.requests(count: 400, seed: 1), prefill: (model, limits, 2), decode: (model, limits, 2),
                handoff: HandoffProfile(.lmcache, kvBytesPerToken: 131_072, linkGigabytesPerSecond: 450), router: router
            )
            run.run()
            #expect(router.isIdle, "\(policy)")
            #expect(!run.result.end.contains(0), "\(policy)")
        }
    }

    @Test func aDeploymentFileNamesThePolicies() throws {
        let deployment = try Deployment(
            yaml: """
                routing:
                  prefill: {policy: least-tokens, maxInFlight: 7}
                  decode: {policy: power-of-two}
                admission: {chunks: 9, queue: 3, queueTimeout: 2s}
                """)
        let settings = ClusterRouter.Settings(deployment)
        #expect(settings.routing == deployment.routing)
        #expect(settings.decodeChunks == 9)
        #expect(settings.admission.queue == 3 && settings.admission.queueTimeout == .seconds(2))
    }

    @Test func aPolicyOnTheCommandLineGoesBeforeTheFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/d.yaml"
        try HostFiles.write("routing: {policy: random, slowStart: 3s}\n", to: path)
        var load = LoadDescription(burstiness: "even", firstToken: "decode")
        load.deployment = path
        #expect(try load.proxy().routing.decode.policy == .random)
        load.policy = "session"
        #expect(try load.proxy().routing.decode.policy == .session)
        #expect(try load.proxy().routing.slowStart == .seconds(3))
        load.policy = "best"
        #expect { try load.proxy() } throws: { "\($0)".contains("--policy: expected round-robin") }
        load.deployment = directory.path + "/none.yaml"
        #expect { try load.proxy() } throws: { "\($0)".contains("none.yaml") }
    }
}
