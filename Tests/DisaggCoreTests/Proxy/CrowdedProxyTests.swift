import Logging
import NIOCore
import Testing

@testable import DisaggCore

/// More clients than the process has descriptors for.
@Suite("Crowded proxy", .timeLimit(.minutes(1)))
struct CrowdedProxyTests {
    @Test("a connection that has been without a request ends for a client that waits; one that is served does not")
    func makesRoom() async throws {
        // The stream of the first client never ends.
        let server = try await ScriptedServer { _, _, _ in
            .send([ScriptedReply.streamHead, ScriptedReply.chunk("data: 1\n\n")])
        }
        let shared = ProxyShared(deployment: server.deployment, logger: Logger(label: "test"))
        let reactor = try Reactor(name: "test")
        let (loop, handler) = try await reactor.submit {
            let loop = LoopContext(reactor: reactor, index: 0, shared: shared)
            loop.start()
            return (
                NIOLoopBound(loop, eventLoop: reactor),
                NIOLoopBound(loop as any ClientRequestHandler, eventLoop: reactor)
            )
        }.get()
        let listener = try await DownstreamListener.bind(
            to: Endpoint(host: "127.0.0.1", port: 0),
            limits: DownstreamLimits(bodyBytes: 1_000, headBytes: 1_000, readTimeout: .seconds(30)),
            handlers: [handler], reactors: [reactor], maximumClients: 2)
        let served = try await WireClient(port: listener.port)
        try await served.send(WireRequest.post(#"{"model":"m","prompt":"p","stream":true}"#))
        try await eventually { server.log.requests.count == 1 }
        let idle = try await WireClient(port: listener.port)
        try await idle.send(WireRequest.get("/health"))
        #expect(await idle.next()?.status == 200)

        let third = try await WireClient(port: listener.port)
        try await third.send(WireRequest.get("/health"))
        #expect(await third.next()?.status == 200)
        #expect(await idle.next() == nil)
        let inFlight = try await reactor.submit { loop.value.metrics.requestsInFlight }.get()
        #expect(inFlight == 1)

        for client in [served, idle, third] { await client.close() }
        await listener.close()
        _ = try await reactor.submit { loop.value.shutDown() }.get()
        await reactor.stop()
        await server.shutdown()
    }
}
