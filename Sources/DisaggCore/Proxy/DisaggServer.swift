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
    private let onStart: @Sendable (_ http: Endpoint, _ notify: Int?) -> Void

    /// Creates a server.
    ///
    /// - Parameters:
    ///   - deployment: the backends, the hand-off and the addresses to listen on.
    ///   - logger: where the server logs.
    ///   - onStart: called when the server accepts clients, with the bound address and the notification port.
    public init(
        deployment: Deployment, logger: Logger = Logger(label: "disagg"),
        onStart: @escaping @Sendable (_ http: Endpoint, _ notify: Int?) -> Void = { _, _ in }
    ) throws {
        core = try ProxyCore(deployment: deployment, logger: logger)
        self.onStart = onStart
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
        onStart(
            Endpoint(host: settings.listen.host, port: listener.port), notifyPort)
        try? await gracefulShutdown()
        await listener.close()
        await core.drain()
    }
}
