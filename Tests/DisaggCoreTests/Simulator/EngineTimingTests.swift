import Logging
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Simulated engine timing and notifications", .timeLimit(.minutes(3)))
struct EngineTimingTests {
    @Test("an engine takes as long as the planner's cost model says")
    func costModel() throws {
        let timing = SimulatedTiming.h200Llama8B
        let model = try #require(ShippedCalibration.h200Llama8B.map { CostModel($0.setup, $0.constants) })
        let prompt =
            timing.waitMilliseconds(computed: 4_096, loaded: 0)
            + timing.stepMilliseconds(
                prompts: 1, promptTokens: 4_096, work: timing.promptWork(tokens: 4_096, cached: 0), running: 0,
                contextTokens: 0)
        #expect(abs(prompt - model.promptMilliseconds(tokens: 4_096)) < 1e-9)
        let step = timing.stepMilliseconds(prompts: 0, promptTokens: 0, work: 0, running: 16, contextTokens: 16 * 596)
        #expect(abs(step - model.decodeMilliseconds(batch: 16, context: 596)) < 1e-9)
        #expect(timing.stepMilliseconds(prompts: 0, promptTokens: 0, work: 0, running: 0, contextTokens: 0) == 0)
    }

    @Test("only an engine that receives KV waits and stands still for it")
    func receiving() {
        let timing = SimulatedTiming.h200Llama8BEager
        let receiver = timing.receiving(.nixl, firstToken: .decode)
        #expect(receiver.waitMilliseconds(computed: 0, loaded: 7_500) > 200)
        #expect(timing.stallMilliseconds(loaded: 7_500) == 0)
        #expect(timing.receiving(.lmcache, firstToken: .decode).stallMilliseconds(loaded: 7_500) > 20)
        #expect(SimulatedTiming.constant(milliseconds: 20).waitMilliseconds(computed: 9_000, loaded: 0) == 0)
    }

    @Test("at speed 10 an answer takes at least a tenth of the cost model's time")
    func speed() async throws {
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.speed = 10
        let model = try #require(ShippedCalibration.h200Llama8B.map { CostModel($0.setup, $0.constants) })
        let time = model.promptMilliseconds(tokens: 4_096) + 10 * model.decodeMilliseconds(batch: 1, context: 4_096)
        try await withEngine(configuration) { _, client in
            let start = ContinuousClock.now
            let prompt = Array(repeating: 72, count: 4_096)
            let response = try await client.post(
                "/v1/completions", #"{"prompt":\#(prompt),"max_tokens":11,"ignore_eos":true}"#)
            #expect(response.status == 200)
            #expect(ContinuousClock.now - start >= .milliseconds(time / 10 * 0.99))
        }
    }

    @Test("each rank's notification reaches a ZMTP listener on a connection of its own")
    func zmtp() async throws {
        let (stream, continuation) = AsyncStream<Notification>.makeStream()
        let listener = NotificationListener(
            endpoint: Endpoint(host: "localhost", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test")
        ) { continuation.yield($0) }
        let port = try await listener.start()
        let pair = try await LMCachePair(ranks: 2, notify: Endpoint(host: "localhost", port: port))
        _ = try await pair.prefill.post("/v1/completions", pair.prefillBody("r1", #""prompt":"x""#))
        var received: [Notification] = []
        for await notification in stream {
            received.append(notification)
            if received.count == 2 { break }
        }
        #expect(received.map(\.requestID) == ["r1", "r1"])
        #expect(Set(received.map(\.connection)).count == 2)
        await pair.shutdown()
        await listener.shutdown()
    }
}
