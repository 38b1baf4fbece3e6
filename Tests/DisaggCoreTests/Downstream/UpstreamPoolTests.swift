import NIOCore
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

@Suite("Upstream pool", .timeLimit(.minutes(1)))
struct UpstreamPoolTests {
    @Test(
        "a connection that waited in the pool before its first request is stale where the engine closes it unanswered")
    func neverUsedConnection() async throws {
        let server = try await ScriptedServer { _, _, _ in .sendAndClose([]) }
        let reactor = try Reactor(name: "test")
        let backend = BackendState(Backend(id: "decode-0", role: .decode, host: "127.0.0.1", port: server.port))
        let promise = reactor.makePromise(of: String.self)
        let pool = try await reactor.submit {
            let pool = UpstreamPool(reactor: reactor, connectTimeout: .seconds(10))
            pool.checkReachable(backend) { _ in
                let exchange = CollectingExchange { result in
                    switch result {
                    case .success: promise.succeed("answered")
                    case .failure(let failure): promise.succeed("\(failure)")
                    }
                }
                pool.send(
                    head: ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"), body: [], to: backend, for: exchange)
            }
            return NIOLoopBound(pool, eventLoop: reactor)
        }.get()
        #expect(try await promise.futureResult.get() == "\(UpstreamFailure.staleConnection)")
        try await reactor.submit { pool.value.shutDown() }.get()
        await reactor.stop()
        await server.shutdown()
    }

    /// Runs a body with no descriptor left to this process but `spare`.
    private func withFewDescriptors(spare: Int, _ body: () async throws -> Void) async throws {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var old = rlimit()
        getrlimit(resource, &old)
        // The lowest free descriptor is where the limit is to be.
        let lowest = dup(0)
        close(lowest)
        var low = old
        low.rlim_cur = rlim_t(Int(lowest) + spare)
        setrlimit(resource, &low)
        defer { setrlimit(resource, &old) }
        try await body()
    }

    @Test("a proxy that is out of descriptors says so and does not blame the backend")
    func exhausted() async throws {
        let server = try await ScriptedServer { _, _, _ in .send(ScriptedReply.json("{}")) }
        let backend = BackendState(Backend(id: "decode-0", role: .decode, host: "127.0.0.1", port: server.port))
        let reactor = try Reactor(name: "test")
        let promise = reactor.makePromise(of: String.self)
        try await withFewDescriptors(spare: 0) {
            reactor.execute {
                let pool = UpstreamPool(reactor: reactor, connectTimeout: .seconds(10))
                pool.checkReachable(backend) { failure in promise.succeed(failure.map { "\($0)" } ?? "connected") }
            }
            let text = try await promise.futureResult.get()
            #expect(text.contains("this proxy can open no further socket (Too many open files)"))
            #expect(text.contains("ulimit -n"))
        }
        #expect(backend.isAvailable(at: .now()))
        #expect(backend.failed == 0)
        await reactor.stop()
        await server.shutdown()
    }

    @Test("idle connections are given up for one that is needed")
    func shedsIdle() async throws {
        let server = try await ScriptedServer { _, _, _ in .send(ScriptedReply.json("{}")) }
        let idle = BackendState(Backend(id: "decode-0", role: .decode, host: "127.0.0.1", port: server.port))
        let needed = BackendState(Backend(id: "decode-1", role: .decode, host: "127.0.0.1", port: server.port))
        let reactor = try Reactor(name: "test")
        let first = reactor.makePromise(of: String.self)
        let second = reactor.makePromise(of: String.self)
        let pool = try await reactor.submit {
            let pool = UpstreamPool(reactor: reactor, connectTimeout: .seconds(10))
            pool.checkReachable(idle) { failure in first.succeed(failure.map { "\($0)" } ?? "connected") }
            return NIOLoopBound(pool, eventLoop: reactor)
        }.get()
        #expect(try await first.futureResult.get() == "connected")
        try await eventually { server.log.connections == 1 }
        // The server needs one descriptor to accept with; the one that is given up is the proxy's.
        try await withFewDescriptors(spare: 0) {
            reactor.execute {
                pool.value.checkReachable(needed) { failure in second.succeed(failure.map { "\($0)" } ?? "connected") }
            }
            let outcome = try await second.futureResult.get()
            #expect(outcome == "connected")
        }
        try await reactor.submit { pool.value.shutDown() }.get()
        await reactor.stop()
        await server.shutdown()
    }
}
