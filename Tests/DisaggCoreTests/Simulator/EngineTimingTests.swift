import Logging
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Simulated engine timing and notifications", .timeLimit(.minutes(3)))
struct EngineTimingTests {
    @Test("the table gives the measured points and rises between them")
    func table() {
        let table = TimingTable.h200Llama8B
        #expect(table.prefillMilliseconds(from: 0, to: 4_096) == 110.208)
        #expect(table.decodeMilliseconds(running: 128) == 10.711)
        #expect(table.decodeMilliseconds(running: 0) == 0)
        for tokens in stride(from: 1, to: 30_000, by: 997) {
            #expect(
                table.prefillMilliseconds(from: 0, to: tokens) <= table.prefillMilliseconds(from: 0, to: tokens + 997))
        }
        let parts = table.prefillMilliseconds(from: 0, to: 8_192) + table.prefillMilliseconds(from: 8_192, to: 16_000)
        #expect(abs(parts - 499.385) < 0.001)
    }

    @Test("at speed 10 an answer takes at least a tenth of the table's time")
    func speed() async throws {
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.speed = 10
        try await withEngine(configuration) { _, client in
            let start = ContinuousClock.now
            let prompt = Array(repeating: 72, count: 4_096)
            let response = try await client.post(
                "/v1/completions", #"{"prompt":\#(prompt),"max_tokens":11,"ignore_eos":true}"#)
            #expect(response.status == 200)
            #expect(ContinuousClock.now - start >= .milliseconds((110.208 + 10 * 4.862) / 10))
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
