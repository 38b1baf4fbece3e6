internal import HTTPTypes
internal import NIOCore

/// What a client asks of the loop, by its route.
extension LoopContext: ClientRequestHandler {
    func serve(_ request: ClientRequest, to sink: ResponseSink) -> (any RequestInFlight)? {
        let route = Route.find(method: request.method, path: request.path)
        switch route {
        case .generation(.native) where shared.deployment.handoff != .sglang && shared.deployment.handoff != .none:
            refuse(
                request, sink, endpoint: nil, reason: "no-route",
                DisaggError(
                    .notFound,
                    "\(request.path) is SGLang's; this proxy's hand-off is \(shared.deployment.handoff.rawValue)"))
        case .generation(let endpoint):
            return generate(request, endpoint: endpoint, to: sink)
        case .anyDecoder where !shared.handoff.rules.decoderServesAlone:
            sink.respond(
                DisaggError(
                    .notFound,
                    "\(request.path) needs an engine that serves it alone, which decoders of "
                        + "\(shared.deployment.handoff.rawValue) never do"))
        case .anyEngine, .anyDecoder, .holdingDecoder:
            let pass = PassThrough(loop: self, sink: sink, request: request, route: route)
            passesUnderWay += 1
            pass.start()
            return pass
        case .load: answerLoad(sink)
        // Probes and scrapes come by the second and are not logged.
        case .health: sink.respond(status: 200, lines: "", body: ByteBuffer())
        case .ready: Readiness.answer(loop: self, sink: sink)
        case .metrics: answerMetrics(sink, .asked(by: request.headers.first("accept")))
        case .notFound:
            refuse(
                request, sink, endpoint: nil, reason: "no-route",
                DisaggError(
                    .notFound,
                    "no such path: \(request.path); this proxy serves \(Route.served)"))
        case .methodNotAllowed(let allowed):
            refuse(
                request, sink, endpoint: nil, reason: "no-route",
                DisaggError(
                    .methodNotAllowed, "\(request.method.rawValue) is not allowed on \(request.path); use \(allowed)"),
                lines: "allow: \(allowed)\r\n")
        }
        return nil
    }

    private func generate(
        _ request: ClientRequest, endpoint: GenerationRequest.Endpoint, to sink: ResponseSink
    ) -> (any RequestInFlight)? {
        do throws(DisaggError) {
            let generation = try GenerationRequest(endpoint: endpoint, body: request.body)
            var wish = PairWish()
            wish.prefill = try shared.wishedPrefill(request.headers)
            switch try RequestSplitting.judge(generation, shared) {
            case .whole(let whole, let alone):
                let driver = RequestDriver(
                    loop: self, sink: sink, request: whole, headers: request.headers, parent: request.trace,
                    alone: alone)
                driver.wish = wish
                begin(driver)
                return driver
            case .parts(let split):
                let parts = PartedRequest(
                    loop: self, sink: sink, split: split, headers: request.headers, wish: wish, parent: request.trace)
                parts.start()
                return parts
            }
        } catch {
            var record = self.record(
                of: request, endpoint: endpoint.rawValue, reason: HandoffReason.invalidRequest.rawValue)
            sink.respond(
                status: error.code.statusCode,
                extraLines: "x-request-id: \(record.requestID)\r\n" + invalidRequestLine,
                json: endpoint.errorBody(error))
            record.status = error.code.statusCode
            ended(record, sink)
            return nil
        }
    }

    func refuse(_ error: DisaggError, to sink: ResponseSink) { sink.respond(error, extraLines: invalidRequestLine) }

    /// The decision's line in the answer to what cannot be read; empty where the deployment does not show it.
    private var invalidRequestLine: String {
        guard settings.requests.showsDecision else { return "" }
        return HandoffDecision(handoff: shared.deployment.handoff, reason: .invalidRequest).line
    }

    /// vLLM's `/load`: what the whole deployment has to do, as one engine tells it of itself.
    private func answerLoad(_ sink: ResponseSink) {
        guard let collectMetrics else {
            return sink.respond(status: 200, json: ByteBuffer(string: #"{"server_load":0}"#))
        }
        collectMetrics().hop(to: reactor).assumeIsolated().whenComplete { result in
            let load = (try? result.get())?.requestsInFlight ?? 0
            sink.respond(status: 200, json: ByteBuffer(string: #"{"server_load":\#(load)}"#))
        }
    }

    /// Answers a request that comes to no backend.
    ///
    /// - Parameter reason: one of a fixed set of words.
    private func refuse(
        _ request: ClientRequest, _ sink: ResponseSink, endpoint: String?, reason: String, _ error: DisaggError,
        lines: String = ""
    ) {
        var record = self.record(of: request, endpoint: endpoint, reason: reason)
        sink.respond(error, extraLines: lines + "x-request-id: \(record.requestID)\r\n")
        record.status = error.code.statusCode
        ended(record, sink)
    }

    /// What is known of a request that is no generation.
    func record(of request: ClientRequest, endpoint: String?, reason: String) -> RequestRecord {
        let id = RequestHeadWriter.requestID(request.headers, using: &generator, loop: index)
        var record = RequestRecord(
            method: request.method.rawValue, path: String(request.path), endpoint: endpoint, requestID: id,
            at: NIODeadline.now().uptimeNanoseconds)
        record.reason = reason
        record.traceID = TraceParent.traceID(request.headers.first("traceparent"))
        record.bytesIn = request.body.readableBytes
        return record
    }

    /// Counts and logs a request that is no generation.
    func ended(_ finished: RequestRecord, _ sink: ResponseSink) {
        var record = finished
        record.timeline.ended(at: NIODeadline.now().uptimeNanoseconds)
        record.endedAt = UTCTime.now
        record.bytesOut = sink.bodyBytes
        record.handoff = shared.deployment.handoff.rawValue
        metrics.count(record)
        accessLog?.add(record)
    }

    private func answerMetrics(_ sink: ResponseSink, _ format: PrometheusText.Format) {
        guard let collectMetrics else { return sink.respond(status: 200, lines: "", body: ByteBuffer()) }
        let shared = shared
        collectMetrics().hop(to: reactor).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let metrics):
                let families = metrics.families(
                    pool: shared.pool, handoff: shared.deployment.handoff, at: .now())
                sink.respond(
                    status: 200, lines: "content-type: \(format.contentType)\r\n",
                    body: ByteBuffer(string: PrometheusText.page(families, format: format)))
            case .failure(let error):
                sink.respond(DisaggError(.unavailable, "metrics cannot be read: \(error)"))
            }
        }
    }
}
