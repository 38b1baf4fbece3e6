import NIOCore
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

/// Connecting: several addresses, names, deadlines.
@Suite("Connector", .timeLimit(.minutes(1)))
struct ConnectorTests {
    private enum Outcome: Equatable, Sendable {
        case connected
        case failed(String)
    }

    private func connect(
        _ addresses: [SocketAddress], timeout: TimeAmount = .seconds(10)
    ) async throws -> (Outcome, TimeAmount) {
        let reactor = try Reactor(name: "test")
        let promise = reactor.makePromise(of: Outcome.self)
        let started = NIODeadline.now()
        reactor.execute {
            Connector.connect(to: addresses, reactor: reactor, timeout: timeout) { result in
                switch result {
                case .success(let source):
                    promise.succeed(.connected)
                    source.close()
                case .failure(let failure): promise.succeed(.failed("\(failure)"))
                }
            }
        }
        let result = try await promise.futureResult.get()
        let took = NIODeadline.now() - started
        await reactor.stop()
        return (result, took)
    }

    /// A port that nothing listens on.
    private static func closedPort() throws -> Int {
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let descriptor = try SocketOptions.makeStreamSocket(for: address)
        defer { close(descriptor) }
        _ = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        return try #require(SocketOptions.localPort(of: descriptor))
    }

    /// A listener whose queue is full: a further connection is neither taken nor refused.
    private func withSilentAddress(_ body: (SocketAddress) async throws -> Void) async throws {
        let any = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let listener = try SocketOptions.makeStreamSocket(for: any)
        var open = [listener]
        defer { for descriptor in open { close(descriptor) } }
        _ = any.withSockAddr { bind(listener, $0, socklen_t($1)) }
        listen(listener, 0)
        let port = try #require(SocketOptions.localPort(of: listener))
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        for _ in 0..<4 {
            let filler = try SocketOptions.makeStreamSocket(for: address)
            open.append(filler)
            _ = address.withSockAddr { Glibc.connect(filler, $0, socklen_t($1)) }
        }
        try await body(address)
    }

    @Test("the next address is tried at once where one refuses")
    func refused() async throws {
        let server = try await ScriptedServer { _, _, _ in .send([]) }
        let closed = try SocketAddress(ipAddress: "127.0.0.1", port: Self.closedPort())
        let open = try SocketAddress(ipAddress: "127.0.0.1", port: server.port)
        let (first, _) = try await connect([closed, closed, open])
        #expect(first == .connected)
        let (second, _) = try await connect([closed, closed])
        #expect(second == .failed("connection refused"))
        await server.shutdown()
    }

    @Test("the next address is tried beside one that stays silent, and the first connection wins")
    func happyEyeballs() async throws {
        let server = try await ScriptedServer { _, _, _ in .send([]) }
        let open = try SocketAddress(ipAddress: "127.0.0.1", port: server.port)
        try await withSilentAddress { silent in
            let (result, took) = try await connect([silent, open])
            #expect(result == .connected)
            #expect(took >= Connector.attemptDelay)
        }
        await server.shutdown()
    }

    @Test("silence ends with the connect timeout, and no address at all with its own words")
    func timeout() async throws {
        try await withSilentAddress { silent in
            let (result, _) = try await connect([silent], timeout: .milliseconds(50))
            #expect(result == .failed("no answer within the connect timeout"))
        }
        let (result, _) = try await connect([])
        #expect(result == .failed("the host name does not resolve"))
    }

    @Test("addresses of both families are tried in turn, the system's favourite first")
    func interleaving() throws {
        let four = try (1...3).map { try SocketAddress(ipAddress: "127.0.0.\($0)", port: 1) }
        let six = try (1...2).map { try SocketAddress(ipAddress: "::\($0)", port: 1) }
        #expect(
            NameResolver.interleaved(six + four) == [six[0], four[0], six[1], four[1], four[2]])
        #expect(NameResolver.interleaved(four) == four)
        #expect(NameResolver.interleaved([]).isEmpty)
    }

    @Test("a backend given by name is found, whichever family it listens on")
    func names() async throws {
        let server = try await ScriptedServer { _, _, _ in
            .send(ScriptedReply.json(#"{"choices":[{"text":"a"}]}"#))
        }
        let backend = BackendState(
            Backend(id: "decode-0", role: .decode, host: "localhost", port: server.port))
        let reactor = try Reactor(name: "test")
        let promise = reactor.makePromise(of: Int.self)
        reactor.execute {
            let pool = UpstreamPool(reactor: reactor, connectTimeout: .seconds(10))
            let exchange = CollectingExchange { result in
                promise.succeed((try? result.get())?.head.status ?? 0)
                pool.shutDown()
            }
            pool.send(head: ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"), body: [], to: backend, for: exchange)
        }
        #expect(try await promise.futureResult.get() == 200)
        await reactor.stop()
        await server.shutdown()
    }

    @Test("a name that does not exist says so")
    func unknownName() async throws {
        let reactor = try Reactor(name: "test")
        let promise = reactor.makePromise(of: Int.self)
        reactor.execute {
            NameResolver(reactor: reactor).resolve(host: "no-such-host.invalid", port: 1) { found in
                promise.succeed(found.count)
            }
        }
        #expect(try await promise.futureResult.get() == 0)
        await reactor.stop()
    }
}
