internal import HTTPTypes
internal import NIOCore

/// Finds what prefill engines tell about themselves, asked for when it is first needed and again after a failure; one for
/// each event loop. What is found is kept with the backend, so that it ends with it.
final class EngineFactTable {
    private let upstream: UpstreamPool
    private let reactor: Reactor
    private let timeout: Duration
    /// Who waits for a backend's answer; the question under way holds the backend.
    private var waiting: [ObjectIdentifier: [(Result<EngineFacts, DisaggError>) -> Void]] = [:]
    /// What engines said of themselves in their pings, by their HTTP addresses.
    private var registrations: [Endpoint: EngineRegistration] = [:]

    init(upstream: UpstreamPool, reactor: Reactor, timeout: Duration) {
        self.upstream = upstream
        self.reactor = reactor
        self.timeout = timeout
    }

    /// Finds what is needed of an engine.
    ///
    /// - Parameter completion: called once, perhaps at once; gets an error that names the address where it is not told.
    func find(
        _ needed: NeededFacts, of backend: BackendState,
        completion: @escaping (Result<EngineFacts, DisaggError>) -> Void
    ) {
        if let facts = backend.facts { return completion(.success(facts)) }
        let key = ObjectIdentifier(backend)
        waiting[key, default: []].append(completion)
        // Others wait already: one question is enough.
        guard waiting[key]?.count == 1 else { return }
        ask(needed, of: backend, fresh: false)
    }

    // MARK: Engines that register themselves

    /// Takes the list of all engines that ping.
    func registered(_ engines: [EngineRegistration]) {
        registrations = Dictionary(engines.map { ($0.http, $0) }) { _, last in last }
    }

    /// Why an engine cannot take part in the hand-off; nil where it can, or did not register itself.
    func refusal(of backend: Backend, by handoff: any HandoffProtocol) -> DisaggError? {
        guard let wanted = handoff.transferMode, !registrations.isEmpty,
            let told = registrations[Endpoint(host: backend.host, port: backend.port)]?.transferMode, told != wanted
        else { return nil }
        return DisaggError(
            .unavailable,
            "\(backend.id) registered with transfer_mode \(told), the deployment's is \(wanted); see handoffOptions.moriioMode"
        )
    }

    /// The backend with what its engine said of itself, which holds over what the deployment says.
    func completed(_ backend: Backend) -> Backend {
        guard !registrations.isEmpty,
            let registration = registrations[Endpoint(host: backend.host, port: backend.port)]
        else { return backend }
        var backend = backend
        backend.transfer.register(registration.zmqAddress)
        backend.transfer.dataParallel = registration.dataParallel
        backend.transfer.tensorParallel = registration.tensorParallel
        return backend
    }

    // MARK: Engines that are asked

    private func ask(_ needed: NeededFacts, of backend: BackendState, fresh: Bool) {
        let isBootstrap = needed.contains(.mooncakeEngineIDs)
        let server = isBootstrap ? bootstrap(of: backend) : backend
        let target = isBootstrap ? "/query" : "/server_info"
        let exchange = CollectingExchange(timeout: timeout, on: reactor) { [self] result in
            if case .failure(.staleConnection) = result { return ask(needed, of: backend, fresh: true) }
            let found = read(result, isBootstrap ? EngineFacts.mooncake : EngineFacts.tensorRT)
            if let found { backend.facts = found }
            let error = DisaggError(
                .unavailable,
                "\(backend.backend.id): http://\(server.authority)\(target) does not tell what the hand-off needs; is it the engine's "
                    + (isBootstrap ? "bootstrap port?" : "HTTP port?"))
            for completion in waiting.removeValue(forKey: ObjectIdentifier(backend)) ?? [] {
                completion(found.map { .success($0) } ?? .failure(error))
            }
        }
        let heads = RequestHeadWriter(HeaderBlock(), requestID: "facts")
        upstream.send(
            head: heads.head(method: .get, target: target, backend: server, bodyBytes: nil), body: [], to: server,
            fresh: fresh, for: exchange)
    }

    private func read(
        _ result: Result<CollectingExchange.Answer, UpstreamFailure>, _ parse: (JSONView) -> EngineFacts?
    ) -> EngineFacts? {
        guard case .success(let answer) = result, answer.head.status == 200,
            let json = try? JSONView(parsing: Array(answer.body.readableBytesView))
        else { return nil }
        return parse(json)
    }

    /// The bootstrap server, which is not the engine's own HTTP server.
    private func bootstrap(of backend: BackendState) -> BackendState {
        let transfer = backend.backend.transfer
        return BackendState(
            Backend(
                id: "\(backend.backend.id) bootstrap", role: .prefill, host: transfer.host,
                port: transfer.bootstrapPort))
    }
}
