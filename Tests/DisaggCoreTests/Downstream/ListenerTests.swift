import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import DisaggCore

@Suite("Listener", .timeLimit(.minutes(1)))
struct ListenerTests {
    /// Counts the clients of one loop.
    private final class Counter: ClientRequestHandler {
        let open: NIOLockedValueBox<Int>

        init(_ open: NIOLockedValueBox<Int>) { self.open = open }

        func refuse(_ error: DisaggError, to sink: ResponseSink) { sink.respond(error) }
        func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)? {
            sink.respond(status: 200, lines: "", body: ByteBuffer())
            return nil
        }
        func opened(_ connection: DownstreamConnection) { open.withLockedValue { $0 += 1 } }
        func closed(_ connection: DownstreamConnection) { open.withLockedValue { $0 -= 1 } }
    }

    private func withListener(
        loops: Int, maximumClients: Int = 100,
        _ body: (_ port: Int, _ open: [NIOLockedValueBox<Int>]) async throws -> Void
    ) async throws {
        let reactors = try (0..<loops).map { try Reactor(name: "test-\($0)") }
        let open = reactors.map { _ in NIOLockedValueBox(0) }
        var handlers: [NIOLoopBound<any ClientRequestHandler>] = []
        for (reactor, count) in zip(reactors, open) {
            handlers.append(
                try await reactor.submit {
                    NIOLoopBound(Counter(count) as any ClientRequestHandler, eventLoop: reactor)
                }.get())
        }
        let listener = try await DownstreamListener.bind(
            to: Endpoint(host: "127.0.0.1", port: 0),
            limits: DownstreamLimits(bodyBytes: 1_000, headBytes: 1_000, readTimeout: .seconds(30)),
            handlers: handlers, reactors: reactors, maximumClients: maximumClients)
        try await body(listener.port, open)
        await listener.close()
        for reactor in reactors { await reactor.stop() }
    }

    @Test("clients are spread evenly over the loops, and over those that lost theirs")
    func even() async throws {
        try await withListener(loops: 3) { port, open in
            var clients: [WireClient] = []
            func add(_ count: Int) async throws {
                for _ in 0..<count {
                    let client = try await WireClient(port: port)
                    // Answered: its loop has taken it.
                    try await client.send(WireRequest.get("/"))
                    #expect(await client.next()?.status == 200)
                    clients.append(client)
                }
            }
            try await add(30)
            #expect(open.map { $0.withLockedValue { $0 } } == [10, 10, 10])
            for _ in 0..<15 { await clients.removeFirst().close() }
            try await eventually { open.reduce(0) { sum, count in sum + count.withLockedValue { $0 } } == 15 }
            try await add(15)
            #expect(open.map { $0.withLockedValue { $0 } } == [10, 10, 10])
            for client in clients { await client.close() }
        }
    }

    @Test("a client whose engine's connection would find no descriptor waits instead of being refused")
    func waits() async throws {
        try await withListener(loops: 2, maximumClients: 2) { port, open in
            var clients: [WireClient] = []
            for _ in 0..<2 {
                let client = try await WireClient(port: port)
                try await client.send(WireRequest.get("/"))
                #expect(await client.next()?.status == 200)
                clients.append(client)
            }
            let third = try await WireClient(port: port)
            try await third.send(WireRequest.get("/"))
            async let answer = third.next()
            // Longer than a listener rests.
            try await Task.sleep(for: .milliseconds(250))
            #expect(open.reduce(0) { sum, count in sum + count.withLockedValue { $0 } } == 2)
            await clients[0].close()
            #expect(await answer?.status == 200)
            for client in [clients[1], third] { await client.close() }
        }
    }

    @Test("an address that is taken says so, whoever has it")
    func taken() async throws {
        try await withListener(loops: 1) { port, _ in
            let reactor = try Reactor(name: "test")
            let handler = try await reactor.submit {
                NIOLoopBound(Counter(NIOLockedValueBox(0)) as any ClientRequestHandler, eventLoop: reactor)
            }.get()
            let error = await #expect(throws: SocketError.self) {
                _ = try await DownstreamListener.bind(
                    to: Endpoint(host: "127.0.0.1", port: port),
                    limits: DownstreamLimits(bodyBytes: 1_000, headBytes: 1_000, readTimeout: .seconds(30)),
                    handlers: [handler], reactors: [reactor])
            }
            #expect(error?.isTaken == true)
            await reactor.stop()
        }
    }
}
