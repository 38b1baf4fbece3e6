internal import HTTPTypes
internal import NIOCore

/// Serves the admin listener: who may, what is asked, and the answers. Lives on the admin loop.
final class AdminHandler: ClientRequestHandler {
    private let services: AdminServices
    private let reactor: Reactor
    private var connections: [ObjectIdentifier: DownstreamConnection] = [:]
    private var isDraining = false

    init(services: AdminServices, reactor: Reactor) {
        self.services = services
        self.reactor = reactor
    }

    // MARK: Connections

    func opened(_ connection: DownstreamConnection) {
        connections[ObjectIdentifier(connection)] = connection
        if isDraining { connection.finishUp() }
    }

    func closed(_ connection: DownstreamConnection) { connections[ObjectIdentifier(connection)] = nil }

    /// Looks at the connections' deadlines.
    func checkDeadlines() {
        let now = NIODeadline.now()
        for connection in Array(connections.values) { connection.checkDeadline(now: now) }
    }

    /// Lets every connection end after its present answer.
    func drain() {
        isDraining = true
        for connection in Array(connections.values) { connection.finishUp() }
    }

    // MARK: Requests

    func refuse(_ error: DisaggError, to sink: ResponseSink) { sink.respond(error) }

    func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)? {
        let method = request.method == .head ? HTTPRequest.Method.get : request.method
        let route = AdminRoute.find(method: method.rawValue, path: request.path)
        if let refusal = refusal(of: request, for: route) {
            sink.respond(refusal, extraLines: refusal.code == .unauthorized ? "www-authenticate: Bearer\r\n" : "")
            return nil
        }
        switch route {
        case .page:
            sink.respond(
                status: 200,
                lines: "content-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n"
                    + "content-security-policy: \(AdminPage.contentSecurityPolicy)\r\n"
                    + "x-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n",
                body: ByteBuffer(string: AdminPage.html))
        case .health: sink.respond(status: 200, lines: "", body: ByteBuffer())
        case .notFound:
            sink.respond(
                DisaggError(.notFound, "no such path: \(request.path.prefix(128)); Docs/openapi-admin.yaml lists them"))
        case .methodNotAllowed(let allowed):
            sink.respond(
                DisaggError(
                    .methodNotAllowed,
                    "\(request.method.rawValue) is not allowed on \(request.path.prefix(128)); use \(allowed)"),
                extraLines: "allow: \(allowed)\r\n")
        default: return answerLater(route, request, sink)
        }
        return nil
    }

    /// Why a request is not served; nil where it is.
    private func refusal(of request: ClientRequest, for route: AdminRoute) -> DisaggError? {
        guard !route.isOpen else { return nil }
        if let token = services.token {
            return token.matches(authorization: request.headers.first("authorization"))
                ? nil : DisaggError(.unauthorized, "show the admin token: \"Authorization: Bearer …\"")
        }
        guard !route.isChange else {
            return DisaggError(
                .forbidden,
                "changes need a token and this proxy has none; set proxy.adminTokenFile or \(AdminSettings.tokenVariable)"
            )
        }
        // Without a token a web page could read this through a name of its own that points to loopback.
        guard AdminHost.isTrusted(request.headers.first("host"), listen: services.endpoint) else {
            return DisaggError(.forbidden, "the Host header must be an address or localhost")
        }
        return nil
    }

    private func answerLater(_ route: AdminRoute, _ request: ClientRequest, _ sink: ResponseSink) -> AdminRequest {
        let pending = AdminRequest(sink: sink)
        let bound = NIOLoopBound(pending, eventLoop: reactor)
        let services = services
        let asked = AdminCall(
            route: route, target: request.target, body: request.body, accept: request.headers.first("accept"))
        let reactor = reactor
        pending.task = Task {
            let answer = await services.answer(asked)
            reactor.execute { bound.value.finish(answer) }
        }
        return pending
    }
}

/// An admin request that is being answered.
final class AdminRequest: RequestInFlight {
    private var sink: ResponseSink?
    var task: Task<Void, Never>?

    init(sink: ResponseSink) { self.sink = sink }

    func finish(_ answer: AdminAnswer) {
        guard let sink else { return }
        self.sink = nil
        switch answer {
        case .failure(let error): sink.respond(error)
        case .content(let status, let type, let body, let lines):
            sink.respond(
                status: status, lines: "content-type: \(type)\r\ncache-control: no-store\r\n" + lines,
                body: ByteBuffer(bytes: body))
        }
    }

    func clientGone() {
        sink = nil
        task?.cancel()
    }

    func clientIsWritable(_ isWritable: Bool) {}
}

/// Which `Host` headers a listener without a token takes.
enum AdminHost {
    static func isTrusted(_ host: String?, listen: Endpoint) -> Bool {
        guard let host else { return true }
        var name = Substring(host.lowercased())
        if name.hasPrefix("[") { return true }
        if let colon = name.lastIndex(of: ":") { name = name[..<colon] }
        if name == "localhost" || name == listen.host.lowercased() { return true }
        return name.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }
    }
}
