import NIOCore
import Testing

@testable import DisaggCore

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
}
