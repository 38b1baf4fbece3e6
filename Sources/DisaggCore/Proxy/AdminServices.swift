internal import NIOCore

/// A request to the admin API, taken off its connection.
struct AdminCall: Sendable {
    let route: AdminRoute
    let target: String
    let body: ByteBuffer
    let accept: String?
}

/// An answer of the admin API.
enum AdminAnswer: Sendable {
    case failure(DisaggError)
    /// - Parameter lines: further header fields as `name: value\r\n` lines.
    case content(status: Int, type: String, body: [UInt8], lines: String)

    static func json(_ body: [UInt8], status: Int = 200, lines: String = "") -> AdminAnswer {
        .content(status: status, type: "application/json", body: body, lines: lines)
    }
}

/// What the admin API reads and changes.
struct AdminServices: Sendable {
    let token: AdminToken?
    /// Where the listener is.
    let endpoint: Endpoint
    let core: ProxyCore
    let reloader: Reloader

    /// Answers a request whose sender may ask.
    func answer(_ call: AdminCall) async -> AdminAnswer {
        do throws(DisaggError) {
            return try await serve(call)
        } catch {
            return .failure(error)
        }
    }

    private var controller: PoolController { core.controller }

    private func serve(_ call: AdminCall) async throws(DisaggError) -> AdminAnswer {
        let query = try AdminQuery(target: call.target)
        switch call.route {
        case .metrics: return await metrics(.asked(by: call.accept))
        case .status: return .json(await AdminStatus.json(core: core, reloader: reloader))
        case .listBackends:
            let all = await controller.list()
            return .json(
                JSONBuilder.object { json in
                    json.array("backends") { list in for status in all { list.object { status.write(to: &$0) } } }
                })
        case .showBackend(let id): return .json(try await controller.show(id).json)
        case .addBackend: return try await add(call.body)
        case .removeBackend(let id):
            return await settle(try await controller.remove(id, isForced: query.isForced), query, gone: true)
        case .drain(let id):
            return await settle(try await controller.drain(id, isForced: query.isForced), query)
        case .resume(let id): return .json(try await controller.resume(id).json)
        case .setWeight(let id):
            guard let weight = try AdminBody(call.body, known: ["weight"]).weight() else {
                throw DisaggError(.badRequest, "weight: expected a number from 0 to 1", parameter: "weight")
            }
            return .json(try await controller.setWeight(id, to: weight).json)
        case .setRole(let id):
            let body = try AdminBody(call.body, known: ["role"])
            let status = try await controller.setRole(id, to: try body.role(), isForced: query.isForced)
            return await settle(status, query)
        case .showReload:
            let outcome = await reloader.last
            return .json(JSONBuilder.object { outcome.write(to: &$0) })
        case .reload:
            let outcome = await reloader.reload()
            if let error = outcome.error { throw DisaggError(.conflict, error) }
            return .json(JSONBuilder.object { outcome.write(to: &$0) })
        case .page, .health, .notFound, .methodNotAllowed: throw DisaggError(.notFound, "no such path")
        }
    }

    private func add(_ bytes: ByteBuffer) async throws(DisaggError) -> AdminAnswer {
        let body = try AdminBody(bytes, known: ["role", "url", "id", "weight", "receiver", "kv_events", "kv_replay"])
        let role = try body.role()
        let url = try body.url()
        var described = core.shared.deployment.backend(role, at: url)
        if let id = try body.id() { described.id = id }
        // Two decoders of one host have different ports, so the deployment's are not taken for granted.
        described.receiver = try body.receiver(host: url.host)
        if let events = try body.kvEvents() { described.kvEvents = events }
        let backend = described
        let status = try await controller.add(backend, weight: try body.weight() ?? 1, from: .admin)
        return .json(status.json, status: 201, lines: "location: /admin/v1/backends/\(backend.id)\r\n")
    }

    /// Waits for what was begun, as long as the query allows: 200 where it has ended, 202 where it goes on.
    private func settle(_ begun: BackendStatus, _ query: AdminQuery, gone: Bool = false) async -> AdminAnswer {
        guard let status = await controller.settled(begun.backend.id, within: query.wait) else {
            return .json(
                JSONBuilder.object {
                    $0.member("id", begun.backend.id)
                    $0.member("state", "removed")
                })
        }
        let isDone = status.pending == nil && status.state != "draining" && !gone
        return .json(status.json, status: isDone ? 200 : 202)
    }

    private func metrics(_ format: PrometheusText.Format) async -> AdminAnswer {
        do {
            let text = PrometheusText.page(try await core.metricFamilies(), format: format)
            return .content(status: 200, type: format.contentType, body: Array(text.utf8), lines: "")
        } catch {
            return .failure(DisaggError(.unavailable, "metrics cannot be read: \(error)"))
        }
    }
}
