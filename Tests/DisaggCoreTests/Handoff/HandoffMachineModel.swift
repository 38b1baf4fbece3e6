@testable import DisaggCore

/// What a hand-off does to engines and clients, played at random against the machine; every broken rule is noted.
///
/// It knows nothing of the machine's fields: it believes only the actions, as the driver does.
struct HandoffMachineModel: ~Copyable {
    enum Pending { case nothing, pair, decode }

    let rules: HandoffRules
    let retries: Int
    /// Whether another decoder could go on where a stream breaks.
    let canResume: Bool
    var machine: HandoffMachine
    var violations: [String] = []
    var trace: [String] = []
    /// Whether ``trace`` is kept: texts would take most of the time.
    let traces: Bool

    private(set) var isPrefillOpen = false
    private(set) var isDecodeOpen = false
    /// The decode went out on a connection.
    private(set) var isDecodeOut = false
    private(set) var isHandedOff = false
    private(set) var isFinished = false
    private(set) var pending = Pending.nothing
    private(set) var isAwaitingNotices = false
    private(set) var noticesLeft = 0
    private(set) var decodeHadHead = false
    private var prefillIsReady = false
    /// The present attempt's prefill ended well: its KV is somewhere.
    private var prefillIsDone = false
    private var isExpired = false
    private var noticesTimedOut = false
    private var clientIsGone = false
    private var streamIsOpen = false
    /// The driver opens the client's stream, where it has a first token, only when the prefill is usable.
    private var mayOpenStream = false
    private var outcomes = 0
    private var usedRetries = 0
    private var choicesLeft = 6
    private(set) var isRelaying = false
    private var attempt = 0
    /// The attempt whose ids a decoder has had on its wire.
    private var spentAttempt = -1
    /// The driver let go of the request's body.
    private var isForgotten = false
    /// KV that somebody must use or free.
    private var owes = false
    /// Notifications are given up that may still come: somebody must listen for them.
    private var mayStray = false
    private var isTimingOut = false

    init(rules: HandoffRules, retries: Int, canResume: Bool = false, traces: Bool) {
        self.rules = rules
        self.traces = traces
        self.retries = retries
        self.canResume = canResume
        machine = HandoffMachine(rules: rules, retries: retries)
    }

    private var isSequential: Bool { rules.dispatch == .sequential }

    private mutating func require(_ condition: Bool, _ what: @autoclosure () -> String) {
        if !condition { violations.append(what()) }
    }

    // MARK: Inputs

    mutating func start(alone: Bool) { take(machine.start(alone: alone), "start alone=\(alone)") }

    mutating func prefillAnswered(_ answer: HandoffMachine.PrefillAnswer) {
        let wasOpen = isPrefillOpen
        let waits = waitingDecode
        if wasOpen {
            isPrefillOpen = false
            switch answer {
            case .ready, .complete, .unusable:
                prefillIsReady = answer == .ready
                prefillIsDone = true
                if isSequential, rules.release != .nothing { owes = true }
            case .failed: prefillBroke()
            case .rejected: noticesLeft = 0
            }
        }
        let failed = answer == .failed || answer == .rejected
        take(
            machine.prefillAnswered(answer), "prefill \(answer)", expectsNothing: !wasOpen,
            aborts: wasOpen && failed && waits, spares: wasOpen && !waits)
    }

    mutating func prefillFailed(_ failure: HandoffMachine.Failure) {
        let wasOpen = isPrefillOpen
        let waits = waitingDecode
        if wasOpen, failure != .timeout, failure != .silent {
            isPrefillOpen = false
            if failure == .broken { prefillBroke() } else { noticesLeft = 0 }
        }
        // It is cancelled, and may have sent its KV as one that broke.
        if wasOpen, failure == .silent, rules.prefillMayBeCancelled { prefillBroke() }
        take(
            machine.prefillFailed(failure), "prefill failed \(failure)", expectsNothing: !wasOpen,
            aborts: wasOpen && waits, spares: wasOpen && !waits)
    }

    /// A decoder that waits for this prefill's KV, and nobody has seen an answer of.
    private var waitingDecode: Bool { isDecodeOpen && isHandedOff && !isRelaying }

    /// Its KV may have been sent before it broke.
    private mutating func prefillBroke() {
        guard isSequential else { return }
        if rules.expectedNotices > 0, noticesLeft == 0, rules.release == .throwAwayDecode { owes = true }
        mayStray = noticesLeft > 0 && rules.release == .throwAwayDecode
        noticesLeft = 0
    }

    mutating func noticeArrived() {
        let isExpected = noticesLeft > 0
        if isExpected { noticesLeft -= 1 }
        take(machine.noticeArrived(), "notice", expectsNothing: !isExpected)
    }

    mutating func noticesExpired() {
        let isExpected = isAwaitingNotices && noticesLeft > 0
        if isExpected {
            noticesTimedOut = true
            isAwaitingNotices = false
            mayStray = rules.release == .throwAwayDecode
            noticesLeft = 0
        }
        take(machine.noticesTimedOut(), "notices timed out", expectsNothing: !isExpected)
    }

    mutating func leaseEnds() {
        guard rules.lease != nil, prefillIsDone else { return }
        if traces { trace.append("lease ends") }
        machine.leaseExpired(decodeIsOut: isDecodeOpen && isDecodeOut)
        if !(isHandedOff && (isDecodeOpen ? isDecodeOut : isRelaying)) {
            isExpired = true
            owes = false
        }
    }

    mutating func decodeGoesOut() {
        let isExpected = isDecodeOpen && !isDecodeOut
        if isExpected {
            isDecodeOut = true
            if isHandedOff { spentAttempt = attempt }
        }
        take(machine.decodeWasSent(), "decode goes out", expectsNothing: !isExpected)
    }

    mutating func decodeHead(_ status: Int, mayRetry: Bool = true) {
        let isExpected = isDecodeOpen && isDecodeOut && !decodeHadHead
        guard isExpected || !isDecodeOpen || decodeHadHead else { return }
        if isExpected {
            decodeHadHead = true
            if isHandedOff {
                // A NIXL decoder that rejects a request tells the prefill engine itself; one that fails may not.
                let isRejected = (400..<500).contains(status) && status != 429
                let discharges = status < 400 || (isRejected && rules.release == .rejectedDecode)
                owes =
                    !discharges && rules.release != .nothing && prefillIsDone && !isExpired
                    && (isRejected || status == 429 || status == 503 || rules.releaseMayRepeat)
            }
        }
        let holds = isExpected && isHandedOff && isPrefillOpen && rules.decodeWaitsForPrefill && status < 400
        let actions = machine.decodeHead(status: status, handedOff: isHandedOff, mayRetry: mayRetry)
        if holds { require(!actions.has(.relayDecode), "an answer before its prefill is known to be good") }
        take(actions, "decode head \(status)", expectsNothing: !isExpected)
        if isExpected, isHandedOff, status >= 400 { require(!isPrefillOpen, "a prefill waits for a decode that ended") }
    }

    mutating func decodeEnded() {
        let isExpected = isDecodeOpen && isRelaying
        if isExpected {
            isDecodeOpen = false
            if !clientIsGone { outcomes += 1 }
        }
        take(machine.decodeEnded(), "decode ended", expectsNothing: !isExpected)
    }

    mutating func decodeFailed(_ failure: HandoffMachine.Failure) {
        let wasOpen = isDecodeOpen
        // Nothing can fail to connect that went out.
        let failure = isDecodeOut && failure == .connect ? .broken : failure
        if wasOpen, failure != .timeout { isDecodeOpen = false }
        if wasOpen, isHandedOff, !decodeHadHead {
            let isWorthIt = failure == .connect || rules.releaseMayRepeat
            owes = isWorthIt && rules.release != .nothing && prefillIsDone && !isExpired
        }
        isTimingOut = failure == .timeout
        take(
            machine.decodeFailed(failure, handedOff: isHandedOff, canResume: canResume), "decode failed \(failure)",
            expectsNothing: !wasOpen)
        isTimingOut = false
        if wasOpen { require(!isPrefillOpen, "a prefill waits for a decode that failed") }
    }

    mutating func streamOpens() {
        guard !clientIsGone, outcomes == 0, prefillIsReady, mayOpenStream, !isFinished, isSequential else { return }
        if traces { trace.append("stream opens") }
        streamIsOpen = true
        machine.headWasSent()
    }

    mutating func clientLeaves() {
        guard !clientIsGone else { return take(machine.clientGone(), "client gone again", expectsNothing: true) }
        let isExpected = outcomes == 0 && !isFinished
        if isExpected { outcomes += 1 }
        clientIsGone = true
        take(machine.clientGone(), "client gone", expectsNothing: !isExpected)
        if !isSequential, isExpected { require(!isPrefillOpen && !isDecodeOpen, "one of two legs was left running") }
    }

    /// The choice of other engines came out.
    mutating func chosen(_ isFound: Bool, alone: Bool) {
        let isFound = isFound && choicesLeft > 0
        choicesLeft -= 1
        switch pending {
        case .nothing: break
        case .pair:
            pending = .nothing
            if isFound {
                attempt += 1
                take(machine.restart(alone: alone), "restart alone=\(alone)")
            } else {
                take(machine.noBackend(), "nobody to try")
            }
        case .decode:
            pending = .nothing
            if isFound {
                take(machine.decodeRestarted(), "decode restarted")
            } else {
                take(machine.noBackend(), "nobody to try")
            }
        }
    }

    // MARK: Actions

    /// - Parameters:
    ///   - aborts: whether a decode must be cancelled, because its prefill failed.
    ///   - spares: whether a decode must not be, because it is innocent of what happened.
    private mutating func take(
        _ actions: HandoffActions, _ input: @autoclosure () -> String, expectsNothing: Bool = false,
        aborts: Bool = false, spares: Bool = false
    ) {
        if traces { trace.append("\(input()) -> \(actions.names)") }
        // Most inputs change nothing; the checks below take most of the time.
        if actions.rawValue == 0 {
            mayOpenStream = false
            if noticesLeft == 0 { isAwaitingNotices = false }
            if aborts { violations.append("a decode waits for KV that will not come") }
            if mayStray { violations.append("nobody listens for KV that may still be announced") }
            mayStray = false
            return
        }
        if expectsNothing { require(false, "an input that cannot happen had an effect") }
        guard !isFinished else { return require(false, "an action after the end") }
        if aborts { require(actions.has(.cancelDecode), "a decode waits for KV that will not come") }
        if spares { require(!actions.has(.cancelDecode), "an innocent decode was cancelled") }
        if isForgotten {
            require(
                !actions.has(Self.needingRequest), "a leg is needed after the request was let go of")
        }
        cancel(actions)
        free(actions)
        answer(actions)
        require((actions.rawValue & Self.ways.rawValue).nonzeroBitCount <= 1, "two ways on at once")
        if actions.has(.awaitNotices) {
            require(noticesLeft > 0, "a wait for nothing")
            isAwaitingNotices = true
        }
        if noticesLeft == 0 { isAwaitingNotices = false }
        mayOpenStream = actions.has(.awaitNotices) || actions.has(.openDecode)
        open(actions)
        retry(actions)
        if actions.has(.finish) { end() }
    }

    private mutating func cancel(_ actions: HandoffActions) {
        if actions.has(.cancelPrefill) {
            require(isPrefillOpen, "a prefill that is not open was cancelled")
            require(rules.prefillMayBeCancelled, "a prefill that must run to its end was cancelled")
            isPrefillOpen = false
        }
        if actions.has(.cancelDecode) {
            require(isDecodeOpen, "a decode that is not open was cancelled")
            if isHandedOff, !decodeHadHead, !rules.decodeMayBeCancelledBeforeHead {
                let isFreed = actions.has(.release) || isExpired || !rules.releaseMayRepeat
                require(isTimingOut && isFreed, "a decode that holds KV was cancelled")
            }
            // A decoder that sees its client leave frees the KV that lies there. What a prefill engine holds must be freed by
            // a release: the decoder may be dead, or may never have read the request.
            if isHandedOff, !decodeHadHead, !isTimingOut {
                owes = rules.release == .rejectedDecode && prefillIsDone && !isExpired
            }
            isDecodeOpen = false
        }
    }

    private mutating func free(_ actions: HandoffActions) {
        if actions.has(.expectStrays) { require(mayStray, "strays are expected where none can come") }
        if mayStray { require(actions.has(.expectStrays), "nobody listens for KV that may still be announced") }
        mayStray = false
        if actions.has(.release) {
            require(rules.release != .nothing, "a release where nothing is held")
            require(!isExpired, "a release after the lease")
            owes = false
        }
    }

    private mutating func answer(_ actions: HandoffActions) {
        let answers = (actions.rawValue & Self.outcomes.rawValue).nonzeroBitCount
        if answers > 0 {
            let isFirst = !clientIsGone && outcomes == 0 && !streamIsOpen && !isRelaying
            require(isFirst && answers == 1, "a second answer")
            outcomes += answers
        }
        if actions.has(.breakStream) {
            require(!clientIsGone && outcomes == 0 && (streamIsOpen || isRelaying), "an error event without a stream")
            outcomes += 1
        }
        if actions.has(.relayDecode) {
            require(isDecodeOpen && decodeHadHead, "a relay without a head")
            require(!clientIsGone && outcomes == 0 && !isRelaying, "a relay to nobody")
            isRelaying = true
            if !machine.needsRequest, !canResume { isForgotten = true }
        }
    }

    private mutating func retry(_ actions: HandoffActions) {
        if actions.has(.resumeDecode) {
            require(canResume && isRelaying && rules.decoderServesAlone, "a resumption of nothing")
            require(!clientIsGone && outcomes == 0, "a resumption for nobody")
            isRelaying = false
            streamIsOpen = true
        } else if actions.has(.retryPair) || actions.has(.retryDecode) {
            require(!clientIsGone && outcomes == 0 && !streamIsOpen && !isRelaying, "a retry behind the client's back")
        }
        if actions.has(Self.retries) {
            require(!isPrefillOpen && !isDecodeOpen, "a retry beside an open leg")
            pending = actions.has(.retryPair) ? .pair : .decode
            usedRetries += 1
            require(usedRetries <= retries + 6, "retries without end")
        }
        if actions.has(.retryPair) {
            require(!owes, "KV of the last attempt was forgotten")
            require(noticesLeft == 0, "notifications of the last attempt were forgotten")
            prefillIsReady = false
            prefillIsDone = false
        }
    }

    private mutating func open(_ actions: HandoffActions) {
        if actions.has(.openPrefill) {
            require(!isPrefillOpen, "two prefills")
            let follows = rules.dispatch == .decodeFirst && isDecodeOpen && isDecodeOut && isHandedOff
            require(isDecodeOpen == follows, "a prefill beside another leg")
            require(rules.dispatch != .decodeFirst || follows, "a prefill before its decode went out")
            require(rules.dispatch != .delegated, "a prefill that is the side-car's")
            require(!clientIsGone, "a prefill for nobody")
            isPrefillOpen = true
            (prefillIsReady, prefillIsDone, noticesTimedOut, isExpired) = (false, false, false, false)
            noticesLeft = isSequential ? rules.expectedNotices : 0
        }
        if actions.has(.openDecode) {
            if isSequential {
                require(prefillIsReady, "a hand-off without a prefill")
                require(noticesLeft == 0 || noticesTimedOut, "a hand-off before the KV arrived")
                require(!isExpired, "a hand-off after the lease")
                require(!isPrefillOpen, "a decode beside its prefill")
            } else {
                require(
                    actions.has(.openPrefill) == (rules.dispatch == .concurrent), "legs in the wrong order")
            }
            require(attempt != spentAttempt || rules.decodeMayBeRepeated, "ids that were used are used again")
            openDecode(handedOff: true)
        }
        if actions.has(.openDecodeAlone) {
            require(rules.decoderServesAlone, "a decoder was asked for what it cannot do")
            require(!isPrefillOpen, "a decode alone beside a prefill")
            openDecode(handedOff: false)
        }
    }

    private mutating func openDecode(handedOff: Bool) {
        require(!isDecodeOpen, "two decodes")
        require(!clientIsGone && outcomes == 0, "a decode for nobody")
        isDecodeOpen = true
        isDecodeOut = false
        decodeHadHead = false
        isHandedOff = handedOff
    }

    private mutating func end() {
        isFinished = true
        require(!isPrefillOpen && !isDecodeOpen, "an open leg at the end")
        require(!owes, "KV was leaked")
        let count = outcomes
        require(count == 1, "\(count) outcomes for the client")
        require(!isAwaitingNotices, "notifications due at the end")
        require(pending == .nothing || clientIsGone, "the end in the middle of a choice")
    }

    private static let outcomes: HandoffActions = [.answerFromPrefill, .fail]
    private static let retries: HandoffActions = [.retryPair, .retryDecode, .resumeDecode]
    /// Both legs at once are one way.
    private static let ways: HandoffActions = [
        .openDecode, .openDecodeAlone, .retryPair, .retryDecode, .resumeDecode,
    ]
    private static let needingRequest: HandoffActions = [
        .openPrefill, .openDecode, .openDecodeAlone, .release, .expectStrays, .retryPair, .retryDecode, .resumeDecode,
    ]

    // MARK: The end

    /// Lets every open leg end and every timer fire; the machine must then be at its end.
    mutating func drive(using generator: inout SeededGenerator) {
        for _ in 0..<64 where !isFinished {
            if pending != .nothing {
                let draw = generator.next()
                chosen(draw & 1 == 0, alone: draw & 2 == 0)
            } else if isDecodeOpen, !isDecodeOut {
                decodeGoesOut()
            } else if isPrefillOpen {
                prefillAnswered(Self.lastAnswers[Int(generator.next() % 4)])
            } else if isDecodeOpen, !decodeHadHead {
                decodeHead(Self.lastStatuses[Int(generator.next() % 4)])
            } else if isDecodeOpen {
                decodeEnded()
            } else if isAwaitingNotices {
                if generator.next() & 1 == 0 { noticeArrived() } else { noticesExpired() }
            } else {
                break
            }
        }
        require(isFinished, "stuck: no leg is open and no timer runs")
        guard generator.next() & 7 == 0 else { return }
        take(machine.clientGone(), "client gone after the end")
        take(machine.noticeArrived(), "notice after the end")
        take(machine.noBackend(), "nobody after the end")
        take(machine.start(alone: true), "start after the end")
    }

    private static let lastAnswers: [HandoffMachine.PrefillAnswer] = [.ready, .failed, .complete, .rejected]
    private static let lastStatuses = [200, 503, 400, 200]
    private static let failures: [HandoffMachine.Failure] = [.connect, .broken, .timeout]
    private static let statuses = [200, 200, 400, 429, 500, 503, 200, 200]

    /// One random input, often one that cannot happen now.
    mutating func step(using generator: inout SeededGenerator) {
        let draw = generator.next()
        // The upper bits decide what the input is, the lower ones how it is.
        let detail = Int(draw & 0xFF)
        switch draw >> 32 & 31 {
        case 0..<4: prefillAnswered(.ready)
        case 4: prefillAnswered(.complete)
        case 5: prefillAnswered(.unusable)
        case 6: prefillAnswered(.failed)
        case 7: prefillAnswered(.rejected)
        case 8: prefillFailed((Self.failures + [.silent])[detail % 4])
        case 9..<13: noticeArrived()
        case 13, 14: noticesExpired()
        case 15: leaseEnds()
        case 16..<20: decodeGoesOut()
        case 20..<23: decodeHead(Self.statuses[detail & 7], mayRetry: detail >> 3 & 3 > 0)
        case 23: decodeEnded()
        case 24: decodeFailed(Self.failures[detail % 3])
        case 25: if detail & 1 == 0 { clientLeaves() }
        case 26: if detail & 1 == 0 { streamOpens() }
        default: chosen(detail % 5 > 0, alone: detail >> 4 == 0)
        }
    }
}

extension HandoffActions {
    /// Whether the two sets meet; the generic functions of option sets would take most of an unoptimised run's time.
    func has(_ other: HandoffActions) -> Bool { rawValue & other.rawValue != 0 }

    /// The names of what is in the set.
    var names: String {
        let all: [(HandoffActions, String)] = [
            (.openPrefill, "openPrefill"), (.cancelPrefill, "cancelPrefill"), (.awaitNotices, "awaitNotices"),
            (.openDecode, "openDecode"), (.openDecodeAlone, "openDecodeAlone"), (.cancelDecode, "cancelDecode"),
            (.release, "release"), (.retryDecode, "retryDecode"), (.retryPair, "retryPair"),
            (.relayDecode, "relayDecode"), (.answerFromPrefill, "answerFromPrefill"), (.fail, "fail"),
            (.breakStream, "breakStream"), (.finish, "finish"), (.expectStrays, "expectStrays"),
            (.resumeDecode, "resumeDecode"),
        ]
        return "[" + all.filter { has($0.0) }.map(\.1).joined(separator: ", ") + "]"
    }
}
