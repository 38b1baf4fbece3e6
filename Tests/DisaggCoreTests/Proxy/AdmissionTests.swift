import NIOCore
import Testing

@testable import DisaggCore

/// What becomes of requests for which no backend has room.
@Suite("Admission", .timeLimit(.minutes(2)))
struct AdmissionTests {
    private static func limit(_ decodes: Int, queue: Int = 8, timeout: Duration = .seconds(60)) -> (inout Deployment) ->
        Void
    {
        {
            $0.routing.decode.maximumInFlight = decodes
            $0.admission.queue = queue
            $0.admission.queueTimeout = timeout
        }
    }

    @Test("a request waits for room, and who finds the queue full is told when to come back")
    func queue() async throws {
        try await withProxy(.init(handoff: .nixl), .init(settings: Self.limit(1, queue: 1))) { harness in
            try await harness.decode[0].inject(.with { $0.holdDecodes = true })
            async let first = harness.proxy.post("/v1/completions", ProxyHarness.completion("a first"))
            try await eventually { try await harness.metric("disagg_requests_in_flight") == "1" }
            async let second = harness.proxy.post("/v1/completions", ProxyHarness.completion("a second"))
            try await eventually { try await harness.metric("disagg_requests_in_flight") == "2" }
            let third = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("a third"))
            #expect(third.isOpenAIError(429), "\(third)")
            #expect(third.headers.contains { $0.name == "retry-after" && (Int($0.value) ?? 0) >= 1 })
            try await harness.decode[0].inject(.with { $0.holdDecodes = false })
            let statuses = try await [first.status, second.status]
            #expect(statuses == [200, 200])
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("a request that waited too long is turned away, one whose client leaves gives its place up")
    func deadline() async throws {
        try await withProxy(
            .init(handoff: .nixl), .init(settings: Self.limit(1, timeout: .milliseconds(300)))
        ) { harness in
            try await harness.decode[0].inject(.with { $0.holdDecodes = true })
            async let first = harness.proxy.post("/v1/completions", ProxyHarness.completion("a first"))
            try await eventually { try await harness.metric("disagg_requests_in_flight") == "1" }
            let leaving = try await RawConnection(port: harness.proxy.port)
            try await leaving.send(
                RawHTTPClient.request("POST", "/v1/completions", body: ProxyHarness.completion("a leaver")))
            try await eventually { try await harness.metric("disagg_requests_in_flight") == "2" }
            await leaving.close()
            try await eventually { try await harness.metric("disagg_requests_in_flight") == "1" }
            let second = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("a second"))
            #expect(second.isOpenAIError(429) && second.body.contains("0.3 seconds"), "\(second)")
            try await harness.decode[0].inject(.with { $0.holdDecodes = false })
            #expect(try await first.status == 200)
            try await harness.settles()
        }
    }

    @Test("a prompt that no decoder's buffer can hold is refused at once")
    func neverFits() async throws {
        try await withProxy(.init(handoff: .lmcache), .init(settings: { $0.admission.chunks = 2 })) { harness in
            let ids = (0..<900).map { "\($0 % 1000)" }.joined(separator: ",")
            let answer = try await harness.proxy.post(
                "/v1/completions",
                #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":[\#(ids)],"max_tokens":4}"#)
            #expect(answer.isOpenAIError(400), "\(answer)")
            #expect(answer.body.contains("a decoder's buffer holds 2"))
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("a short one"))
        }
    }

    @Test("long prompts on a small LMCache buffer take turns, and every one is answered", arguments: [1, 2])
    func smallBuffer(ranks: Int) async throws {
        var topology = Topology(handoff: .lmcache, prefill: 2, decode: 1)
        topology.ranks = ranks
        let capacity = 6
        try await withProxy(
            topology,
            .init(
                configure: {
                    $0.bufferChunks = capacity
                    $0.maximumModelLength = 4000
                    $0.endProbability = 0
                }, settings: { $0.admission.chunks = capacity })
        ) { harness in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<24 {
                    group.addTask {
                        // Three to five chunks of 256 tokens each: no two fit beside a third.
                        let ids = (0..<600 + 30 * (index % 20)).map { "\(($0 + index) % 900 + 1)" }
                        let body =
                            #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":[\#(ids.joined(separator: ","))],"#
                            + #""max_tokens":3}"#
                        return try await harness.proxy.post("/v1/completions", body).status
                    }
                }
                for try await status in group { #expect(status == 200) }
            }
            try await harness.settles()
            #expect(try await harness.metric("disagg_notifications_timed_out_total") == "0")
            try await harness.expectClean()
        }
    }
}

/// LMCache #2957 in small: prompts that get their decoder's pages chunk by chunk, as they are computed.
@Suite("Partial reservations")
struct PartialReservationTests {
    /// Runs prompts through a buffer; a prompt is done when it has all its chunks, and gives them back a step later.
    ///
    /// - Returns: how many were done before nothing moved any more.
    private func run(prompts: [Int], capacity: Int, budget: ChunkBudget?) -> Int {
        var waiting = prompts.enumerated().map { (id: $0.offset, need: $0.element) }[...]
        var running: [(need: Int, got: Int, cost: Int)] = []
        var free = capacity
        var done = 0
        var isMoving = true
        while isMoving {
            isMoving = false
            // The scheduler takes every prompt that is admitted.
            while let next = waiting.first {
                guard let cost = budget.map({ $0.take(next.need) }) ?? 0 else { break }
                running.append((next.need, 0, cost))
                waiting.removeFirst()
                isMoving = true
            }
            // A step computes one chunk of each running prompt: chunked prefill.
            for index in running.indices where running[index].got < running[index].need && free > 0 {
                running[index].got += 1
                free -= 1
                isMoving = true
            }
            for prompt in running where prompt.got == prompt.need {
                free += prompt.need
                budget?.give(prompt.cost)
                done += 1
                isMoving = true
            }
            running.removeAll { $0.got == $0.need }
        }
        return done
    }

    @Test("without a budget prompts that hold a part each wait for each other for ever; with it all are done")
    func deadlock() {
        let prompts = (0..<40).map { 4 + $0 % 5 }
        #expect(run(prompts: prompts, capacity: 12, budget: nil) == 0)
        let budget = ChunkBudget(capacity: 12)
        #expect(run(prompts: prompts, capacity: 12, budget: budget) == 40 && budget.used == 0)
        // One that is larger than thought gets the whole buffer, and no more.
        #expect(budget.take(50) == 12 && budget.take(1) == nil)
    }
}
