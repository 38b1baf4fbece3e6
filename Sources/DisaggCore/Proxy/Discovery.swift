internal import Logging
internal import NIOCore
internal import NIOPosix

/// Looks again and again for engines: resolves names, reads the watched file, and gives the pool what it found.
///
/// A source that fails changes nothing: a name server that is away must not empty the pool.
actor Discovery {
    private let deployment: Deployment
    private let controller: PoolController
    private let logger: Logger
    private var named: [String: [Backend]] = [:]
    private var problems: [String: String] = [:]
    private var fileMark: FileMark?

    init(deployment: Deployment, controller: PoolController, logger: Logger) {
        self.deployment = deployment
        self.controller = controller
        self.logger = logger
    }

    /// Looks until it is cancelled.
    func run() async {
        guard deployment.discovery.hasSources else { return }
        while !Task.isCancelled {
            await refresh()
            do { try await Task.sleep(for: deployment.discovery.interval) } catch { return }
        }
    }

    /// Looks once.
    func refresh() async {
        var hasNames = false
        for role in BackendRole.allCases {
            for name in deployment.discovery.names(role) {
                hasNames = true
                await resolve(name, role)
            }
        }
        if hasNames {
            let all = named.sorted { $0.key < $1.key }.flatMap(\.value)
            await controller.apply(all, from: .dns)
        }
        if let path = deployment.discovery.file { await readFile(path) }
    }

    private func resolve(_ name: DiscoveryName, _ role: BackendRole) async {
        let key = "\(role.rawValue) \(name)"
        do throws(DisaggError) {
            let endpoints = try await Self.endpoints(name, server: deployment.discovery.nameserver)
            named[key] = endpoints.prefix(PoolController.maximumBackends).map { deployment.backend(role, at: $0) }
            note(nil, at: key)
        } catch {
            note(error.message, at: key)
        }
    }

    private static func endpoints(_ name: DiscoveryName, server: Endpoint?) async throws(DisaggError) -> [Endpoint] {
        switch name {
        case .service(let name):
            return try await ServiceLookup.services(name, server: server).map { Endpoint(host: $0.host, port: $0.port) }
        case .addresses(let endpoint):
            let addresses = try? await NIOThreadPool.singleton.runIfActive {
                NameResolver.lookUp(endpoint.host, endpoint.port).compactMap(\.ipAddress)
            }
            guard let addresses, !addresses.isEmpty else {
                throw DisaggError(.unavailable, "\(endpoint.host) has no address now")
            }
            return addresses.sorted().map { Endpoint(host: $0, port: endpoint.port) }
        }
    }

    private func readFile(_ path: String) async {
        guard let mark = FileMark(path) else { return note("the file is not there", at: path) }
        guard mark != fileMark else { return }
        fileMark = mark
        guard let text = ProcFile.text(path) else { return note("the file cannot be read", at: path) }
        do throws(DeploymentError) {
            let list = try BackendListFile(yaml: text, fileName: path)
            note(nil, at: path)
            let backends = list.entries.prefix(PoolController.maximumBackends).map { entry in
                var backend = deployment.backend(
                    entry.role, at: entry.endpoint, receiverPorts: entry.receiverPorts)
                if let events = entry.kvEvents { backend.kvEvents = events }
                return backend
            }
            await controller.apply(Array(backends), from: .file)
        } catch {
            note(error.description, at: path)
        }
    }

    /// Logs a source's problem once, and its end.
    private func note(_ problem: String?, at source: String) {
        guard problems[source] != problem else { return }
        problems[source] = problem
        if let problem {
            logger.warning(
                "engines cannot be looked for; the known ones stay",
                metadata: ["disagg.source": "\(source)", "disagg.error": "\(problem)"])
        } else {
            logger.info("engines are found again", metadata: ["disagg.source": "\(source)"])
        }
    }
}
