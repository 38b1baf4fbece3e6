internal import HTTPTypes
public import Logging
internal import NIOCore
public import ServiceLifecycle

/// A prefill/decode proxy with its own HTTP listener: what `disagg-proxy` runs.
///
/// As a `Service` it serves until graceful shutdown; then it stops accepting, lets answers under way end within
/// ``ProxySettings/drainTimeout``, and returns.
public final class DisaggServer: Service, Sendable {
    private let core: ProxyCore
    private let reloader: Reloader
    private let adminToken: AdminToken?
    private let onStart: @Sendable (_ http: Endpoint, _ notify: Int?) -> Void
    private let onAdmin: @Sendable (_ admin: Endpoint) -> Void

    /// Creates a server.
    ///
    /// - Parameters:
    ///   - deployment: the backends, the hand-off and the addresses to listen on.
    ///   - logger: where the server logs.
    ///   - onStart: called when the server accepts clients, with the bound address and the notification port.
    /// - Throws: ``DisaggError`` where the admin token cannot be read, or the admin listener would be open to others
    ///   without one, or the access log cannot be opened.
    public convenience init(
        deployment: Deployment, logger: Logger = Logger(label: "disagg"),
        onStart: @escaping @Sendable (_ http: Endpoint, _ notify: Int?) -> Void = { _, _ in }
    ) throws {
        try self.init(deployment: deployment, source: nil, logger: logger, onStart: onStart)
    }

    /// Creates a server whose deployment can be read again.
    ///
    /// - Parameters:
    ///   - source: where the deployment came from; nil where from no file.
    ///   - onAdmin: called when the admin listener listens, with the bound address.
    package init(
        deployment: Deployment, source: DeploymentSource?, logger: Logger,
        onAdmin: @escaping @Sendable (_ admin: Endpoint) -> Void = { _ in },
        onStart: @escaping @Sendable (_ http: Endpoint, _ notify: Int?) -> Void
    ) throws {
        adminToken = try AdminToken.configured(deployment.proxy.admin)
        if let admin = deployment.proxy.adminEndpoint { try AdminServer.check(admin, token: adminToken) }
        core = try ProxyCore(deployment: deployment, logger: logger)
        reloader = Reloader(source: source, core: core)
        self.onStart = onStart
        self.onAdmin = onAdmin
    }

    /// Does what `SIGHUP` asks for: opens the access log anew and reads the deployment file again, where there is one.
    package func hangUp() async {
        core.accessLog?.reopen()
        if await reloader.last.file != nil { _ = await reloader.reload() }
    }

    /// Serves until graceful shutdown.
    ///
    /// - Throws: ``DisaggError`` that names the address where a listener cannot be bound.
    public func run() async throws {
        do {
            try await serve()
        } catch {
            await core.shutDown()
            throw error
        }
        await core.shutDown()
    }

    private func serve() async throws {
        let settings = core.shared.deployment.proxy
        let notifyPort = try await core.start()
        let limits = DownstreamLimits(
            bodyBytes: settings.maximumBodyBytes, headBytes: settings.maximumHeadBytes,
            readTimeout: .init(settings.requestReadTimeout))
        var handlers: [NIOLoopBound<any ClientRequestHandler>] = []
        for (loop, reactor) in zip(core.loops, core.reactors) {
            handlers.append(
                try await reactor.submit {
                    NIOLoopBound(loop.value as any ClientRequestHandler, eventLoop: reactor)
                }.get())
        }
        let listener: DownstreamListener
        do {
            let logger = core.shared.logger
            listener = try await DownstreamListener.bind(
                to: settings.listen, limits: limits, handlers: handlers, reactors: core.reactors
            ) { logger.warning("a client has to wait: \($0); raise the limit of open files (ulimit -n)") }
        } catch {
            let isTaken = (error as? SocketError)?.isTaken == true
            let reason = isTaken ? "the port is taken" : "\(error)"
            throw DisaggError(
                .unavailable,
                "cannot listen on \(settings.listen): \(reason); choose another address with --port or proxy.listen")
        }
        let admin: AdminServer?
        do {
            admin = try await startAdmin(settings)
        } catch {
            await listener.close()
            throw error
        }
        onStart(
            Endpoint(host: settings.listen.host, port: listener.port), notifyPort)
        await withDiscardingTaskGroup { group in
            group.addTask { await self.core.runControlPlane() }
            group.addTask { await self.reloader.watch() }
            try? await gracefulShutdown()
            group.cancelAll()
        }
        await listener.close()
        await core.drain()
        // Until the last answer has ended, what goes on can be looked at.
        await admin?.shutDown()
    }

    private func startAdmin(_ settings: ProxySettings) async throws -> AdminServer? {
        guard let endpoint = settings.adminEndpoint else { return nil }
        let admin = try await AdminServer(endpoint, token: adminToken, core: core, reloader: reloader)
        onAdmin(Endpoint(host: endpoint.host, port: admin.port))
        return admin
    }
}
