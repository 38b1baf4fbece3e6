internal import NIOCore

/// The admin listener: a loop of its own, so that nobody's token waits for it.
final class AdminServer: Sendable {
    private static let limits = DownstreamLimits(
        bodyBytes: AdminBody.maximumBytes, headBytes: 16 << 10, readTimeout: .seconds(10))
    private static let tick = TimeAmount.milliseconds(500)

    private let reactor: Reactor
    private let handler: NIOLoopBound<AdminHandler>
    private let listener: DownstreamListener
    private let timer: RepeatedTask

    /// The port that is bound.
    let port: Int

    /// Refuses what would let strangers in.
    ///
    /// - Throws: ``DisaggError`` where the address is not loopback and there is no token.
    static func check(_ endpoint: Endpoint, token: AdminToken?) throws(DisaggError) {
        guard token == nil, !isLoopback(endpoint.host) else { return }
        throw DisaggError(
            .badRequest,
            "proxy.admin: \(endpoint) can be reached from other machines, so it needs a token; "
                + "set proxy.adminTokenFile or \(AdminSettings.tokenVariable), or listen on 127.0.0.1")
    }

    private static func isLoopback(_ host: String) -> Bool {
        if ["localhost", "::1"].contains(host.lowercased()) { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.first == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Binds the listener and begins to serve.
    ///
    /// - Throws: ``DisaggError`` that names the address where it cannot be bound.
    init(_ endpoint: Endpoint, token: AdminToken?, core: ProxyCore, reloader: Reloader) async throws {
        try Self.check(endpoint, token: token)
        let reactor = try Reactor(name: "disagg-admin")
        self.reactor = reactor
        let services = AdminServices(token: token, endpoint: endpoint, core: core, reloader: reloader)
        do {
            let handler = try await reactor.submit {
                NIOLoopBound(AdminHandler(services: services, reactor: reactor), eventLoop: reactor)
            }.get()
            self.handler = handler
            let boundHandler = try await reactor.submit {
                NIOLoopBound(handler.value as any ClientRequestHandler, eventLoop: reactor)
            }.get()
            listener = try await DownstreamListener.bind(
                to: endpoint, limits: Self.limits, handlers: [boundHandler], reactors: [reactor])
            port = listener.port
            timer = reactor.scheduleRepeatedTask(initialDelay: Self.tick, delay: Self.tick) { _ in
                handler.value.checkDeadlines()
            }
        } catch {
            await reactor.stop()
            let isTaken = (error as? SocketError)?.isTaken == true
            throw DisaggError(
                .unavailable,
                "the admin API cannot listen on \(endpoint): \(isTaken ? "the port is taken" : "\(error)"); "
                    + "choose another address with --admin or proxy.admin, or turn it off with \"off\"")
        }
    }

    /// Stops accepting, lets answers under way end for a moment, and ends the loop.
    func shutDown() async {
        timer.cancel()
        await listener.close()
        let handler = handler
        _ = try? await reactor.submit { handler.value.drain() }.get()
        await reactor.stop()
    }
}
