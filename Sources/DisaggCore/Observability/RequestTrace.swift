package import Tracing

/// The spans of one request: one for the whole, one for each leg. Lives on one event loop.
///
/// There is none where no tracer was bootstrapped, and then a client's trace headers go to both legs as they came.
package final class RequestTrace {
    private let tracer: any Tracer
    private let span: any Span
    private var legs: [String: any Span] = [:]
    /// The header fields that the tracer writes: a client's own must not stand beside them.
    package let fieldNames: [String]

    /// The bootstrapped tracer; nil where there is none.
    package static var bootstrapped: (any Tracer)? {
        let tracer = InstrumentationSystem.tracer
        return tracer is NoOpTracer ? nil : tracer
    }

    /// Begins the request's span.
    ///
    /// - Parameters:
    ///   - parent: the context of the embedding application's call; where nil, the request's headers tell.
    package init(_ tracer: any Tracer, headers: HeaderBlock, parent: ServiceContext?, name: String) {
        self.tracer = tracer
        var context = parent ?? .topLevel
        if parent == nil { tracer.extract(headers, into: &context, using: HeaderExtractor()) }
        span = Self.start(tracer, name, context: context, kind: .server)
        var fields = HeaderCarrier()
        tracer.inject(span.context, into: &fields, using: HeaderInjector())
        fieldNames = fields.fields.map(\.name)
    }

    /// What the spans of a split request's parts belong to.
    package var context: ServiceContext { span.context }

    /// Begins the span of a leg.
    ///
    /// - Parameter leg: `prefill` or `decode`; a second one of that name takes the first one's place.
    /// - Returns: the header fields by which the engine joins the trace.
    package func begin(_ leg: String, backend: String) -> [(name: String, value: String)] {
        end(leg)
        let child = Self.start(tracer, "disagg.\(leg)", context: span.context, kind: .client)
        child.attributes["disagg.backend"] = backend
        legs[leg] = child
        var fields = HeaderCarrier()
        tracer.inject(child.context, into: &fields, using: HeaderInjector())
        return fields.fields
    }

    /// Ends the span of a leg.
    package func end(_ leg: String, error: String? = nil) {
        guard let child = legs.removeValue(forKey: leg) else { return }
        if let error { child.setStatus(SpanStatus(code: .error, message: error)) }
        child.end()
    }

    /// Ends all spans with what became of the request.
    package func end(_ record: RequestRecord) {
        for leg in Array(legs.keys) { end(leg) }
        span.attributes["http.response.status_code"] = record.status
        span.attributes["disagg.request_id"] = record.requestID
        span.attributes["disagg.reason"] = record.reason
        span.attributes["disagg.handoff"] = record.handoff
        if let prefill = record.prefill { span.attributes["disagg.prefill"] = prefill }
        if let decode = record.decode { span.attributes["disagg.decode"] = decode }
        if record.retries > 0 { span.attributes["disagg.retries"] = record.retries }
        for stage in record.stages { span.attributes["disagg.\(stage.name)_ms"] = Double(stage.nanoseconds) / 1e6 }
        if record.status >= 500 { span.setStatus(SpanStatus(code: .error)) }
        span.end()
    }

    private static func start(
        _ tracer: some Tracer, _ name: String, context: ServiceContext, kind: SpanKind
    ) -> any Span {
        tracer.startSpan(name, context: context, ofKind: kind)
    }
}

private struct HeaderExtractor: Extractor {
    func extract(key: String, from carrier: HeaderBlock) -> String? { carrier.value(named: key) }
}

private struct HeaderCarrier: Sendable {
    var fields: [(name: String, value: String)] = []
}

private struct HeaderInjector: Injector {
    func inject(_ value: String, forKey key: String, into carrier: inout HeaderCarrier) {
        // A tracer's own text; still nothing may end the line.
        guard !value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return }
        carrier.fields.append((name: key.lowercased(), value: value))
    }
}
