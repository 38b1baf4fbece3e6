internal import NIOCore

/// What is known of a finished request: a line of the access log, and a row of the live page's recent decisions.
package struct RequestRecord: Sendable, Equatable {
    /// When it ended, in milliseconds since 1970-01-01 UTC.
    package var endedAt: Int64 = 0
    package var requestID = ""
    /// The trace's id where the client's `traceparent` has one.
    package var traceID: String?
    package var method = "POST"
    /// The path without its query, which may hold what a log must not.
    package var path = ""
    /// The value of the label `endpoint`: a known path, or `other`.
    package var endpoint = RequestRecord.otherEndpoint
    package static let otherEndpoint = "other"
    package var status = 0
    /// Why it was served the way it was.
    package var reason = ""
    /// The hand-off protocol.
    package var handoff = ""
    package var isStream = false
    /// The backend whose prefill was used; nil where there was none.
    package var prefill: String?
    package var decode: String?
    /// Legs or pairs that were tried again.
    package var retries = 0
    /// Which legs' backends failed on the way, whatever came of the request.
    package struct Failed: OptionSet, Sendable, Hashable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let prefill = Failed(rawValue: 1)
        package static let decode = Failed(rawValue: 2)

        package init(prefill: Bool, decode: Bool) {
            self = []
            if prefill { insert(.prefill) }
            if decode { insert(.decode) }
        }

        /// The value of the label `failed`.
        package var label: String {
            switch (contains(.prefill), contains(.decode)) {
            case (false, false): "none"
            case (true, false): "prefill"
            case (false, true): "decode"
            case (true, true): "both"
            }
        }
    }
    package var failed = Failed()
    /// Whether the client left before its answer was complete.
    package var clientLeft = false
    /// Bytes of the request's body.
    package var bytesIn = 0
    /// Bytes of the answer's body, as they were given to the client's connection.
    package var bytesOut = 0
    /// Events of a stream.
    package var events = 0
    package var timeline = RequestTimeline(started: 0)

    package init() {}

    /// What is known of a generation request when it begins.
    ///
    /// - Parameters:
    ///   - traceParent: the client's header of that name.
    ///   - now: nanoseconds of a monotonic clock.
    package init(_ request: GenerationRequest, requestID: String, traceParent: String?, at now: UInt64) {
        timeline = RequestTimeline(started: now)
        self.requestID = requestID
        traceID = TraceParent.traceID(traceParent)
        path = request.endpoint.rawValue
        endpoint = path
        isStream = request.isStream
        bytesIn = request.body.readableBytes
    }

    /// A request that is no generation.
    ///
    /// - Parameter endpoint: a known path; nil for any other.
    package init(method: String, path: String, endpoint: String?, requestID: String, at now: UInt64) {
        timeline = RequestTimeline(started: now)
        self.method = method
        self.path = path
        self.endpoint = endpoint ?? Self.otherEndpoint
        self.requestID = requestID
    }

    /// The stages in their order with the names that logs use; those that were not gone through are left out.
    package var stages: [(name: StaticString, nanoseconds: Int64)] {
        let all: [(StaticString, Int64?)] = [
            ("queue", timeline.queue), ("prefill", timeline.prefill), ("handoff", timeline.handoff),
            ("decode_first_byte", timeline.decodeFirstByte), ("first_byte", timeline.firstByte),
            ("per_event", timeline.perEvent(events)), ("total", timeline.total), ("proxy", timeline.overhead),
        ]
        return all.compactMap { name, value in value.map { (name: name, nanoseconds: $0) } }
    }
}
