internal import HTTPTypes
internal import Logging
internal import NIOCore

/// Serves one generation request: does what its ``HandoffMachine`` says, on one event loop, and tells it what happened.
final class RequestDriver: RequestInFlight {
    /// How often a leg or pair may be tried again before the client is told.
    static let retries = 2
    /// How long a notification that missed its deadline is still listened for, to free the KV it announces: this many
    /// times the deadline.
    static let lateNotice = 6

    let loop: LoopContext
    let sink: ResponseSink
    var request: GenerationRequest
    let heads: RequestHeadWriter
    let requestID: String
    let started = NIODeadline.now()
    var machine: HandoffMachine

    /// The backends that the request itself names, where the deployment lets it.
    var wish = PairWish()
    var prefill: BackendState?
    var decode: BackendState?
    /// The decoder the present prefill was told to send its KV to; ``decode`` may have been replaced since.
    var receiver: BackendState?
    /// Backends that failed this request; they are asked last.
    var triedPrefill: [BackendState] = []
    var triedDecode: [BackendState] = []
    /// The present pair's ids and ranks; nil where the decoder serves alone.
    var attempt: HandoffAttempt?
    /// The ids of all attempts.
    var ids: [RequestID] = []
    var noticeConnections: [UInt64] = []
    /// A pooled connection broke under a leg whose ids must not be sent twice: the next pair gets new connections.
    var needsFreshConnections = false
    /// Facts that engines told were asked for again because of a failure; once a request.
    var refreshedFacts = false

    var prefillExchange: CollectingExchange?
    var prefillHead: UpstreamHead?
    var prefillBody = ByteBuffer()
    var answer: PrefillAnswer?
    var decodeExchange: DecodeExchange?
    var decodeIsHandedOff = false
    var merge: FirstTokenMerge?
    /// What names the conversation and its prompt; nil where no turn is handed back.
    let conversation: Conversation?
    /// Remembers a stream's tokens where another decoder may go on with it.
    var recorder: StreamRecorder?
    /// What the next decoder goes on with.
    var continuation: StreamContinuation?
    var streamIsOpen = false
    /// The leg was sent on a pooled connection that ended without a byte. Mostly an idle limit; but where the engine
    /// then refuses connections it may have died of the request, or after reading it: so it counts as sent.
    var lostOnStaleConnection = false

    let decidedAlone: HandoffReason?
    /// Tokens of the prompt whose KV the chosen decoder has; set by who chooses it, where its policy knows.
    var cachedOnDecoder = 0
    var reason = HandoffReason.disaggregated
    var failure = DisaggError(.unavailable, "no decode backend can be reached; see /ready")
    var status = 0
    /// Retries made so far.
    var retriesMade = 0
    var prefillDeadline: Int?
    var noticeDeadline: Int?
    /// The loop's tick from which on the finished prefill's KV must not be used.
    var leaseDeadline: Int?
    var pausedSince: Int?
    var prefillDone: NIODeadline?
    var decodeSent: NIODeadline?
    var firstByteSeen = false
    var isOver = false

    /// Creates a driver.
    ///
    /// - Parameters:
    ///   - requestID: the id that the legs carry, where it is not the client's.
    ///   - alone: why a decoder shall serve the request alone, where that was decided before.
    init(
        loop: LoopContext, sink: ResponseSink, request: GenerationRequest, headers: HeaderBlock,
        requestID ownID: String? = nil, alone: HandoffReason? = nil
    ) {
        self.loop = loop
        self.sink = sink
        self.request = request
        decidedAlone = alone
        requestID = ownID ?? RequestHeadWriter.requestID(headers, using: &loop.generator, loop: loop.index)
        heads = RequestHeadWriter(headers, requestID: requestID)
        machine = HandoffMachine(rules: loop.shared.handoff.rules, retries: Self.retries)
        conversation = loop.shared.turns == nil ? nil : Conversation(request, headers)
    }

    var handoff: any HandoffProtocol { loop.shared.handoff }
    var settings: ProxySettings { loop.shared.deployment.proxy }

    // MARK: Doing what the machine says

    func perform(_ actions: HandoffActions) {
        if actions.contains(.cancelPrefill) { cancelPrefill() }
        if actions.contains(.cancelDecode) { cancelDecode() }
        if actions.contains(.release) { release() }
        if actions.contains(.expectStrays) { expectStrays() }
        if actions.contains(.answerFromPrefill) { answerFromPrefill() }
        if actions.contains(.fail) { fail() }
        if actions.contains(.breakStream) { breakStream() }
        if actions.contains(.awaitNotices) {
            openStreamEarly()
            noticeDeadline = loop.upstream.tick + LoopContext.ticks(settings.notificationTimeout)
        }
        if actions.contains(.retryPair) { retryPair() }
        if actions.contains(.retryDecode) { retryDecode() }
        if actions.contains(.resumeDecode) { resumeDecode() }
        if actions.contains(.openPrefill) { openPrefill() }
        // A prefill that failed at once has started the next attempt already.
        if actions.contains(.openDecode), machine.decode == .sent, decodeExchange == nil {
            openStreamEarly()
            openDecode(handedOff: true, fresh: false)
        }
        if actions.contains(.openDecodeAlone) {
            if reason == .disaggregated, continuation == nil { reason = .prefillFailed }
            openDecode(handedOff: false, fresh: false)
        }
        if actions.contains(.relayDecode) { relayDecode() }
        if actions.contains(.finish) { finish() }
    }

    // MARK: The end

    func fail() {
        status = failure.code.statusCode
        sink.respond(
            status: status, extraLines: "x-request-id: \(requestID)\r\n" + (decisionLine ?? ""),
            json: request.endpoint.errorBody(failure))
    }

    func observe(_ stage: ProxyMetrics.Stage, since: NIODeadline) {
        loop.metrics.stages[stage.rawValue].observe(nanoseconds: (NIODeadline.now() - since).nanoseconds)
    }

    func sawFirstByte() {
        guard !firstByteSeen else { return }
        firstByteSeen = true
        observe(.firstByte, since: started)
    }

    private func finish() {
        guard !isOver else { return }
        isOver = true
        observe(.total, since: started)
        loop.metrics.requests[
            .init(endpoint: request.endpoint.rawValue, status: status, reason: reason), default: 0] += 1
        for id in ids { loop.forgetNotices(id) }
        loop.finished(self)
        loop.shared.logger.debug(
            "request served",
            metadata: [
                "disagg.request-id": "\(requestID)", "disagg.status": "\(status)",
                "disagg.reason": "\(reason.rawValue)",
                "disagg.prefill": "\(prefill?.backend.id ?? "-")", "disagg.decode": "\(decode?.backend.id ?? "-")",
            ])
    }

    /// Ends the request at shutdown: nothing is waited for any more.
    func abandon() {
        isOver = true
        prefillExchange?.cancel()
        decodeExchange?.cancel()
    }
}

/// Backends that a request names itself, in a header that the deployment trusts.
struct PairWish {
    var prefill: BackendState?
    var decode: BackendState?
}
