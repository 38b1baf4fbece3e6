/// One event loop's counters: plain integers that only its loop touches, added up when they are read.
package struct ProxyMetrics: Sendable {
    /// What a finished request is counted under; all label sets are closed.
    package struct RequestKey: Hashable, Sendable {
        package var endpoint: String
        package var status: Int
        /// A ``HandoffReason``, or why the request came to no backend.
        package var reason: String

        /// Retries, of which more than ``mostRetries`` are not told apart.
        package var retries = 0
        package var failed = RequestRecord.Failed()
        package static let mostRetries = 3

        package init(_ record: RequestRecord) {
            endpoint = record.endpoint
            status = record.status
            reason = record.reason
            retries = min(max(0, record.retries), Self.mostRetries)
            failed = record.failed
        }

        /// The lengths tell nearly all apart, and are hashed sooner than the words.
        package func hash(into hasher: inout Hasher) {
            hasher.combine(status << 16 ^ endpoint.utf8.count << 8 ^ reason.utf8.count)
        }
    }

    /// A stage of a request, in order; together they make up the time to the first token.
    package enum Stage: Int, CaseIterable, Sendable {
        /// From the request to its turn.
        case queue
        /// From the prefill leg's dispatch to its answer.
        case prefill
        /// From the prefill's answer to the decode leg's dispatch: the wait for notifications.
        case handoff
        /// From the decode leg's dispatch to its first byte.
        case decodeFirstByte

        /// The value of the label `stage`.
        package var label: String {
            switch self {
            case .queue: "queue"
            case .prefill: "prefill"
            case .handoff: "handoff"
            case .decodeFirstByte: "decode_first_byte"
            }
        }
    }

    /// Which engines made an answer.
    package enum Path: Int, CaseIterable, Sendable {
        /// A prefill and a decode engine.
        case pair
        /// A decode engine alone.
        case decode
    }

    /// What is measured of each answer.
    package struct Latencies: Sendable {
        package var firstToken = MetricHistogram(.firstToken)
        package var outputToken = MetricHistogram(.outputToken)
        package var request = MetricHistogram(.request)

        mutating func add(_ other: Latencies) {
            firstToken.add(other.firstToken)
            outputToken.add(other.outputToken)
            request.add(other.request)
        }
    }

    package var requests: [RequestKey: Int] = [:]
    package var stages = [MetricHistogram](repeating: MetricHistogram(.stage), count: Stage.allCases.count)
    package var latencies = [Latencies](repeating: Latencies(), count: Path.allCases.count)
    /// What the proxy itself adds to the time to the first byte.
    package var overhead = MetricHistogram(.proxy)
    /// How late the loop's timer runs: what any event may have to wait.
    package var loopLag = MetricHistogram(.proxy)
    package var retries = 0
    /// Parts of split requests.
    package var requestParts = 0
    package var clientsGone = 0
    package var releases = 0
    package var releasesFailed = 0
    /// What became of the KV of attempts whose prefill was sent.
    package var kvEndings = ReleaseCounts()
    package var notificationsTimedOut = 0
    package var notificationsLate = 0
    package var notificationsUnknown = 0
    package var streamsBroken = 0
    package var streamsResumed = 0
    package var requestsInFlight = 0
    package var connections = 0
    /// Requests that wait for their turn.
    package var requestsWaiting = 0
    package var accessLinesDropped = 0

    package init() {}

    /// Hand-offs whose KV was neither used nor freed, as far as the proxy can tell.
    package var leasesLeaked: Int { kvEndings[.abandoned] }

    /// Counts a finished request.
    package mutating func count(_ record: RequestRecord) {
        requests[RequestKey(record), default: 0] += 1
    }

    /// Counts the stages of a part of a split request, which is counted as a whole.
    package mutating func countStages(of part: RequestRecord) {
        requestParts += 1
        observeStages(part.timeline)
    }

    private mutating func observeStages(_ timeline: RequestTimeline) {
        for (stage, value) in [
            (Stage.queue, timeline.queue), (.prefill, timeline.prefill), (.handoff, timeline.handoff),
            (.decodeFirstByte, timeline.decodeFirstByte),
        ] {
            if let value { stages[stage.rawValue].observe(nanoseconds: value) }
        }
    }

    /// Counts what became of an attempt's KV.
    package mutating func count(_ ending: ReleaseReason) { kvEndings[ending] += 1 }

    /// Counts a finished generation request with its times.
    package mutating func record(_ record: RequestRecord) {
        count(record)
        let timeline = record.timeline
        observeStages(timeline)
        let path = (record.prefill == nil ? Path.decode : .pair).rawValue
        if let value = timeline.firstByte { latencies[path].firstToken.observe(nanoseconds: value) }
        if let value = timeline.perEvent(record.events) { latencies[path].outputToken.observe(nanoseconds: value) }
        if let value = timeline.total { latencies[path].request.observe(nanoseconds: value) }
        if let value = timeline.overhead { overhead.observe(nanoseconds: value) }
    }

    /// Adds another loop's counters.
    package mutating func add(_ other: ProxyMetrics) {
        requests.merge(other.requests) { $0 + $1 }
        for index in stages.indices { stages[index].add(other.stages[index]) }
        for index in latencies.indices { latencies[index].add(other.latencies[index]) }
        overhead.add(other.overhead)
        loopLag.add(other.loopLag)
        retries += other.retries
        requestParts += other.requestParts
        clientsGone += other.clientsGone
        releases += other.releases
        releasesFailed += other.releasesFailed
        for ending in ReleaseReason.allCases { kvEndings[ending] += other.kvEndings[ending] }
        notificationsTimedOut += other.notificationsTimedOut
        notificationsLate += other.notificationsLate
        notificationsUnknown += other.notificationsUnknown
        streamsBroken += other.streamsBroken
        streamsResumed += other.streamsResumed
        requestsInFlight += other.requestsInFlight
        connections += other.connections
        requestsWaiting += other.requestsWaiting
        accessLinesDropped += other.accessLinesDropped
    }
}
