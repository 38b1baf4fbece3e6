import NIOCore
import Testing

@testable import DisaggCore

/// What engines tell of themselves, and how long it is believed.
@Suite("Engine facts", .timeLimit(.minutes(1)))
struct EngineFactTableTests {
    /// A bootstrap server with one rank.
    private static func bootstrap(_ engineID: String) async throws -> ScriptedServer {
        try await ScriptedServer { _, _, _ in .send(ScriptedReply.json(#"{"0":{"engine_id":"\#(engineID)"}}"#)) }
    }

    private static func state(_ bootstrapPort: Int) -> BackendState {
        var backend = Backend(id: "prefill-0", role: .prefill, host: "127.0.0.1", port: 1)
        backend.transfer.host = "127.0.0.1"
        backend.transfer.bootstrapPort = bootstrapPort
        return BackendState(backend)
    }

    @Test("a backend that left tells nothing of the one that takes its place in memory")
    func reused() async throws {
        let servers = [try await Self.bootstrap("gone"), try await Self.bootstrap("new")]
        let reactor = try Reactor(name: "test")
        let upstream = try await reactor.submit {
            NIOLoopBound(UpstreamPool(reactor: reactor, connectTimeout: .seconds(10)), eventLoop: reactor)
        }.get()
        let table = try await reactor.submit {
            let table = EngineFactTable(upstream: upstream.value, reactor: reactor, timeout: .seconds(10))
            return NIOLoopBound(table, eventLoop: reactor)
        }.get()
        // All on one thread, whose memory is given out again to it.
        let present = NIOLoopBoundBox<BackendState?>.makeEmptyBox(eventLoop: reactor)
        func find() async throws -> [Int: String]? {
            let promise = reactor.makePromise(of: [Int: String]?.self)
            try await reactor.submit {
                guard let backend = present.value else { return promise.succeed(nil) }
                table.value.find(.mooncakeEngineIDs, of: backend) { promise.succeed(try? $0.get().engineIDs) }
            }.get()
            return try await promise.futureResult.get()
        }
        let ports = servers.map(\.port)
        let place = try await reactor.submit {
            let state = Self.state(ports[0])
            present.value = state
            return ObjectIdentifier(state)
        }.get()
        #expect(try await find() == [0: "gone"])
        try await reactor.submit {
            present.value = nil
            // Those that got another place are kept, so that the next one gets a new place.
            var others: [BackendState] = []
            while present.value == nil, others.count < 10_000 {
                let state = Self.state(ports[1])
                if ObjectIdentifier(state) == place { present.value = state } else { others.append(state) }
            }
        }.get()
        #expect(try await find() == [0: "new"])
        try await reactor.submit { upstream.value.shutDown() }.get()
        await reactor.stop()
        for server in servers { await server.shutdown() }
    }

    @Test("what an engine told is asked again only once it is forgotten")
    func forgotten() async throws {
        let server = try await Self.bootstrap("engine")
        let reactor = try Reactor(name: "test")
        let backend = Self.state(server.port)
        for asked in [1, 1, 2] {
            if asked == 2 { backend.facts = nil }
            let promise = reactor.makePromise(of: [Int: String]?.self)
            try await reactor.submit {
                let upstream = UpstreamPool(reactor: reactor, connectTimeout: .seconds(10))
                let table = EngineFactTable(upstream: upstream, reactor: reactor, timeout: .seconds(10))
                table.find(.mooncakeEngineIDs, of: backend) {
                    promise.succeed(try? $0.get().engineIDs)
                    upstream.shutDown()
                }
            }.get()
            #expect(try await promise.futureResult.get() == [0: "engine"])
            #expect(server.log.requests.count == asked)
        }
        await reactor.stop()
        await server.shutdown()
    }
}
