internal import HTTPTypes
internal import Logging
internal import NIOCore
internal import Tracing

/// Serves one generation request: does what its ``HandoffMachine`` says, on one event loop, and tells it what happened.
final class RequestDriver: RequestInFlight {
    /// How often a leg or pair may be tried again before the client is told.
    static let retries = 2
    /// How long a notification that missed its deadline is still listened for, to free the KV it announces: this many
    /// times the deadline.
    static let lateNotice = 6

    let loop: LoopContext
    /// Its place among the loop's requests; nil while it is not one of them.
    var slot: Int?
    let sink: ResponseSink
    var request: GenerationRequest
    let heads: RequestHeadWriter
    let requestID: String
    var machine: HandoffMachine

    let origin: RequestOrigin
    /// The pair that was chosen when the request was admitted, until it is used.
    var picked: PickedPair?
    /// The request's turn among those that wait; nil where it does not.
    var ticket: AdmissionGate.Ticket?
    var admissionDeadline: Int?
    /// What a client that is turned away is told to wait, in seconds.
    var retryAfter: Int?
    /// Backends that count the request as open and were not sent their leg yet.
    var heldPrefill: BackendState?
    var heldDecode: BackendState?
    /// Prompt tokens that the prefill backend has to compute.
    var queuedTokens = 0
    var promptTokens = 0
    /// The prompt that a decode backend is to compute without a prefill backend, until it has or the leg ends.
    var openPrompt: OpenPrompt?
    /// Chunks taken of the chosen decoder's budget for an attempt that has not begun.
    var chunksHeld: (budget: ChunkBudget, chunks: Int)?
    /// The present attempt's KV, until it is used or somebody else sees to it.
    var hold: KVHold?
    /// The KV of prefills that were cancelled and may have been answered all the same, by their attempts' ids.
    var leftHolds: [RequestID: KVHold] = [:]
    /// What becomes of the present attempt's KV is not known yet.
    var kvIsOpen = false
    /// The decode that is left before its answer; its KV is released when it has ended.
    var leftDecode: DecodeExchange?

    /// The backends that the request itself names, where the deployment lets it.
    var wish = PairWish()
    var prefill: BackendState?
    var decode: BackendState?
    /// The decoder the present prefill was told to send its KV to; ``decode`` may have been replaced since.
    var receiver: BackendState?
    /// How often the prefill engine had been restarted when the present pair was chosen.
    var prefillRestarts = 0
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
    /// Waits for the prefill engine's answer, which comes ahead of what is relayed.
    var logprobMerge: PromptLogprobMerge?
    /// What the next decoder goes on with.
    var continuation: StreamContinuation?
    var streamIsOpen = false
    /// The leg was sent on a pooled connection that ended without a byte. Mostly an idle limit; but where the engine
    /// then refuses connections it may have died of the request, or after reading it: so it counts as sent.
    var lostOnStaleConnection = false

    let decidedAlone: HandoffReason?
    /// Keys of the prompt's blocks, where it matters which decoder has had it before.
    var promptKeys: [UInt64] = []
    /// Tells the whole of a split request what became of this part; nil for a request of its own.
    let onEnd: ((RequestDriver) -> Void)?
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
    /// What the log, the metrics and the live page show in the end.
    var record = RequestRecord()
    var awaitsNotices = false
    /// Nil where no tracer was bootstrapped.
    let trace: RequestTrace?
    var isOver = false
    /// An engine was passed over because of the transfer mode it registered with.
    var refusedMode = false
    /// No prefill backend is wanted.
    var isAlone = false
    /// Why, where that was decided beforehand.
    var aloneReason: HandoffReason?

    /// Creates a driver.
    ///
    /// - Parameters:
    ///   - requestID: the id that the legs carry, where it is not the client's.
    ///   - onEnd: for a part of a split request, which is counted as one: called when the part is over.
    ///   - parent: the span that the request belongs to, where an embedding server has one.
    ///   - alone: why a decoder shall serve the request alone; nil where it is to be handed off.
    init(
        loop: LoopContext, sink: ResponseSink, request: GenerationRequest, headers: HeaderBlock,
        parent: ServiceContext? = nil, requestID ownID: String? = nil, alone: HandoffReason?,
        onEnd: ((RequestDriver) -> Void)? = nil
    ) {
        self.onEnd = onEnd
        self.loop = loop
        self.sink = sink
        self.request = request
        decidedAlone = alone
        requestID = ownID ?? RequestHeadWriter.requestID(headers, using: &loop.generator, loop: loop.index)
        trace = loop.shared.tracer.map {
            RequestTrace($0, headers: headers, parent: parent, name: "POST \(request.endpoint.rawValue)")
        }
        heads = RequestHeadWriter(headers, requestID: requestID, without: trace?.fieldNames ?? [])
        record = RequestRecord(request, requestID: requestID, traceParent: headers.first("traceparent"), at: Self.now)
        origin = loop.shared.factsReader.origin(of: headers)
        machine = HandoffMachine(rules: loop.shared.handoff.rules, retries: Self.retries)
        conversation = loop.shared.turns == nil ? nil : Conversation(request, headers)
    }

    var handoff: any HandoffProtocol { loop.shared.handoff }
    var settings: ProxySettings { loop.settings }
    static var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    // MARK: Doing what the machine says

    func perform(_ actions: HandoffActions) {
        if actions.contains(.cancelPrefill) { cancelPrefill() }
        if actions.contains(.cancelDecode) { cancelDecode(releases: actions.contains(.release)) }
        if actions.contains(.release) { release() }
        if actions.contains(.expectStrays) { expectStrays() }
        if actions.contains(.answerFromPrefill) { answerFromPrefill() }
        if actions.contains(.fail) { fail() }
        if actions.contains(.breakStream) { breakStream() }
        if actions.contains(.awaitNotices) {
            openStreamEarly()
            awaitsNotices = true
            record.timeline.beginWait(at: Self.now)
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
        let pause = retryAfter.map { "retry-after: \($0)\r\n" } ?? ""
        sink.respond(
            status: status, extraLines: "x-request-id: \(requestID)\r\n" + (decisionLine ?? "") + pause,
            json: request.endpoint.errorBody(failure))
    }

    func sawFirstByte() { record.timeline.firstByte(at: Self.now) }

    /// All notifications came, or their time is over.
    func endNoticeWait() {
        noticeDeadline = nil
        guard awaitsNotices else { return }
        awaitsNotices = false
        record.timeline.endWait(at: Self.now)
    }

    private func finish() {
        guard !isOver else { return }
        isOver = true
        record.timeline.ended(at: Self.now)
        record.status = status
        record.reason = reason.rawValue
        record.handoff = loop.shared.deployment.handoff.rawValue
        record.prefill = decodeIsHandedOff || reason == .disaggregated ? prefill?.backend.id : nil
        record.decode = decode?.backend.id
        record.retries = retriesMade
        record.failed = RequestRecord.Failed(prefill: !triedPrefill.isEmpty, decode: !triedDecode.isEmpty)
        record.bytesOut = sink.bodyBytes
        if let onEnd { onEnd(self) } else { loop.record(&record) }
        trace?.end(record)
        for id in ids { loop.forgetNotices(id) }
        letGo()
        decodeExchange?.detach()
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
        decodeExchange?.detach()
    }
}

/// Backends that a request names itself, in a header that the deployment trusts.
struct PairWish {
    var prefill: BackendState?
    var decode: BackendState?
}
