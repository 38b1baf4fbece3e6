internal import HTTPTypes
internal import NIOCore

/// Serves a request that one engine answers without a hand-off.
///
/// Decode backends are asked first, then prefill backends where the route allows it; the next one is asked where one cannot
/// be reached, or where it does not hold the response that is asked for.
final class PassThrough: RequestInFlight {
    private let loop: LoopContext
    private let sink: ResponseSink
    private let request: ClientRequest
    private let heads: RequestHeadWriter
    private let requestID: String
    private var record: RequestRecord
    private var candidates: [BackendState]
    private var exchange: CollectingExchange?
    private var isOver = false

    private let route: Route
    /// What goes to the engine.
    private var body: [ByteBuffer] = []

    init(loop: LoopContext, sink: ResponseSink, request: ClientRequest, route: Route) {
        self.route = route
        self.loop = loop
        self.sink = sink
        self.request = request
        record = loop.record(of: request, endpoint: String(request.path), reason: "any-engine")
        requestID = record.requestID
        heads = RequestHeadWriter(request.headers, requestID: requestID)
        let now = NIODeadline.now()
        let all = loop.shared.pool.decode + (route == .anyEngine ? loop.shared.pool.prefill : [])
        candidates = all.filter { $0.isAvailable(at: now) } + all.filter { !$0.isAvailable(at: now) }
    }

    func start() {
        do throws(DisaggError) {
            body = try forwarded()
        } catch {
            finish()
            sink.respond(error, extraLines: "x-request-id: \(requestID)\r\n")
            return ended(status: error.code.statusCode)
        }
        tryNext(lastFailure: nil)
    }

    /// The client's body, without the router-only fields where a decoder computes something of it.
    ///
    /// - Throws: ``DisaggError`` for what is neither a form nor a JSON object: an engine could read it in another way.
    private func forwarded() throws(DisaggError) -> [ByteBuffer] {
        guard request.method == .post, request.body.readableBytes > 0 else { return [] }
        let isForm = request.headers.first("content-type")?.lowercased().hasPrefix("multipart/form-data") == true
        guard route == .anyDecoder, !isForm else { return [request.body] }
        let (scanned, table) = try GenerationRequest.scan(request.body)
        return LegRewriting.stripping.apply(to: scanned, table)
    }

    private func tryNext(lastFailure: UpstreamFailure?) {
        guard !candidates.isEmpty else {
            finish()
            let reason = lastFailure.map { ": \($0)" } ?? ""
            sink.respond(
                DisaggError(.unavailable, "no engine can be reached\(reason)"),
                extraLines: "x-request-id: \(requestID)\r\n")
            return ended(status: 503)
        }
        ask(candidates.removeFirst(), fresh: false)
    }

    private func ask(_ backend: BackendState, fresh: Bool) {
        backend.enter()
        let exchange = CollectingExchange(
            timeout: loop.shared.deployment.proxy.prefillTimeout, on: loop.reactor
        ) { [self] result in
            backend.leave()
            switch result {
            case .success(let answer)
            where route == .holdingDecoder && answer.head.status == 404 && !candidates.isEmpty:
                tryNext(lastFailure: nil)
            case .success(let answer):
                finish()
                sink.begin(
                    status: answer.head.status, lines: answer.head.clientLines(requestID: requestID),
                    framing: answer.head.scanned.framing == .none ? .none : .length(answer.body.readableBytes))
                if answer.body.readableBytes > 0 { sink.write(answer.body) }
                sink.end()
                record.decode = backend.backend.id
                ended(status: answer.head.status)
            case .failure(.staleConnection): ask(backend, fresh: true)
            case .failure(let failure):
                record.retries += 1
                tryNext(lastFailure: failure)
            }
        }
        self.exchange = exchange
        loop.upstream.send(
            head: heads.head(
                method: request.method, target: request.target, backend: backend,
                bodyBytes: request.method == .post ? body.reduce(0) { $0 + $1.readableBytes } : nil),
            body: body, to: backend, fresh: fresh,
            for: exchange)
    }

    private func finish() {
        guard !isOver else { return }
        isOver = true
        exchange = nil
        loop.passFinished()
    }

    private func ended(status: Int) {
        record.status = status
        loop.ended(record, sink)
    }

    func clientGone() {
        guard !isOver else { return }
        let open = exchange
        finish()
        record.clientLeft = true
        ended(status: 499)
        open?.cancel()
    }

    func clientIsWritable(_ isWritable: Bool) {}
}
