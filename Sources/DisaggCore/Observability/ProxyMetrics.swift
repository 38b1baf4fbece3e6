/// One event loop's counters: plain integers that only its loop touches, added up when they are read.
package struct ProxyMetrics: Sendable {
    /// What a finished request is counted under; all label sets are closed.
    package struct RequestKey: Hashable, Sendable {
        package var endpoint: String
        package var status: Int
        package var reason: HandoffReason
    }

    /// A histogram with fixed bounds, in seconds.
    package struct Histogram: Sendable {
        /// Upper bounds in seconds.
        package static let bounds = [
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
        ]
        package private(set) var counts = [Int](repeating: 0, count: bounds.count + 1)
        package private(set) var nanoseconds: Int64 = 0

        package init() {}

        /// Adds one observation.
        package mutating func observe(nanoseconds value: Int64) {
            nanoseconds += value
            let seconds = Double(value) / 1e9
            var index = 0
            while index < Self.bounds.count, seconds > Self.bounds[index] { index += 1 }
            counts[index] += 1
        }

        mutating func add(_ other: Histogram) {
            nanoseconds += other.nanoseconds
            for index in counts.indices { counts[index] += other.counts[index] }
        }

        /// Observations so far.
        package var count: Int { counts.reduce(0, +) }
    }

    /// A stage of a request, in order.
    package enum Stage: Int, CaseIterable, Sendable {
        /// From the request to the prefill's answer.
        case prefill
        /// From the prefill's answer to the decode's dispatch: the wait for notifications.
        case handoff
        /// From the decode's dispatch to its first byte.
        case decodeFirstByte
        /// From the request to the first byte for the client.
        case firstByte
        /// From the request to its end.
        case total

        var label: String {
            switch self {
            case .prefill: "prefill"
            case .handoff: "handoff"
            case .decodeFirstByte: "decode_first_byte"
            case .firstByte: "first_byte"
            case .total: "total"
            }
        }
    }

    package var requests: [RequestKey: Int] = [:]
    package var stages = [Histogram](repeating: Histogram(), count: Stage.allCases.count)
    package var retries = 0
    package var clientsGone = 0
    package var releases = 0
    package var releasesFailed = 0
    package var kvEndings: [ReleaseReason: Int] = [:]
    package var notificationsTimedOut = 0
    package var notificationsLate = 0
    package var notificationsUnknown = 0
    package var streamsBroken = 0
    package var streamsResumed = 0
    package var requestsInFlight = 0
    package var connections = 0

    package init() {}

    /// Adds another loop's counters.
    package mutating func add(_ other: ProxyMetrics) {
        for (key, count) in other.requests { requests[key, default: 0] += count }
        for index in stages.indices { stages[index].add(other.stages[index]) }
        retries += other.retries
        clientsGone += other.clientsGone
        releases += other.releases
        releasesFailed += other.releasesFailed
        for (key, count) in other.kvEndings { kvEndings[key, default: 0] += count }
        notificationsTimedOut += other.notificationsTimedOut
        notificationsLate += other.notificationsLate
        notificationsUnknown += other.notificationsUnknown
        streamsBroken += other.streamsBroken
        streamsResumed += other.streamsResumed
        requestsInFlight += other.requestsInFlight
        connections += other.connections
    }
}
