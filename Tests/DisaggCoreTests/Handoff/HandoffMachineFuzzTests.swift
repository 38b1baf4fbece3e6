import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What a hand-off does to engines and clients, played at random against the machine; every broken rule is noted.
///
/// It knows nothing of the machine's fields: it believes only the actions, as the driver does.
struct HandoffMachineModel: ~Copyable {
    enum Pending { case nothing, pair, decode }

    let rules: HandoffRules
    let retries: Int
    var machine: HandoffMachine
    var violations: [String] = []
    var trace: [String] = []
    /// Whether ``trace`` is kept: texts would take most of the time.
    let traces: Bool

    private(set) var isPrefillOpen = false
    private(set) var isDecodeOpen = false
    private(set) var isHandedOff = false
    private(set) var isFinished = false
    private(set) var pending = Pending.nothing
    private(set) var isAwaitingNotices = false
    private(set) var noticesLeft = 0
    private var decodeHadHead = false
    private var prefillIsReady = false
    private var noticesTimedOut = false
    private var clientIsGone = false
    private var streamIsOpen = false
    /// The driver opens the client's stream, where it has a first token, only when the prefill is usable.
    private var mayOpenStream = false
    private var outcomes = 0
    private var usedRetries = 0
    private var choicesLeft = 6
    private var isRelaying = false
    /// The driver let go of the request's body.
    private var isForgotten = false
    /// KV that somebody must use or free.
    private var owes = false
    /// Notifications are given up that may still come: somebody must listen for them.
    private var mayStray = false

    init(rules: HandoffRules, retries: Int, traces: Bool) {
        self.rules = rules
        self.traces = traces
        self.retries = retries
        machine = HandoffMachine(rules: rules, retries: retries)
    }

    private mutating func require(_ condition: Bool, _ what: @autoclosure () -> String) {
        if !condition { violations.append(what()) }
    }

    // MARK: Inputs

    mutating func start(alone: Bool) { take(machine.start(alone: alone), "start alone=\(alone)") }

    mutating func prefillAnswered(_ answer: HandoffMachine.PrefillAnswer) {
        let wasOpen = isPrefillOpen
        if wasOpen {
            isPrefillOpen = false
            switch answer {
            case .ready, .complete, .unusable:
                prefillIsReady = answer == .ready
                if rules.release != .nothing { owes = true }
            case .failed: prefillBroke()
            case .rejected: noticesLeft = 0
            }
        }
        take(machine.prefillAnswered(answer), "prefill \(answer)", expectsNothing: !wasOpen)
    }

    mutating func prefillFailed(_ failure: HandoffMachine.Failure) {
        let wasOpen = isPrefillOpen
        if wasOpen, failure != .timeout {
            isPrefillOpen = false
            if failure == .broken { prefillBroke() } else { noticesLeft = 0 }
        }
        take(machine.prefillFailed(failure), "prefill failed \(failure)", expectsNothing: !wasOpen)
    }

    /// Its KV may have been sent before it broke.
    private mutating func prefillBroke() {
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

    mutating func decodeHead(_ status: Int, mayRetry: Bool = true) {
        let isExpected = isDecodeOpen && !decodeHadHead
        if isExpected {
            decodeHadHead = true
            if isHandedOff {
                // A NIXL decoder that rejects a request tells the prefill engine itself; one that fails may not.
                let discharges = rules.release == .rejectedDecode ? status < 500 && status != 429 : status < 400
                owes = !discharges && rules.release != .nothing
            }
        }
        take(
            machine.decodeHead(status: status, handedOff: isHandedOff, mayRetry: mayRetry), "decode head \(status)",
            expectsNothing: !isExpected)
    }

    mutating func decodeEnded() {
        let isExpected = isDecodeOpen && decodeHadHead
        if isExpected {
            isDecodeOpen = false
            if isRelaying, !clientIsGone { outcomes += 1 }
        }
        take(machine.decodeEnded(), "decode ended", expectsNothing: !isExpected)
    }

    mutating func decodeFailed(_ failure: HandoffMachine.Failure) {
        let wasOpen = isDecodeOpen
        // Nothing can fail to connect that has answered.
        let failure = decodeHadHead && failure == .connect ? .broken : failure
        if wasOpen, failure != .timeout { isDecodeOpen = false }
        if wasOpen, isHandedOff, !decodeHadHead, rules.release != .nothing { owes = true }
        isTimingOut = failure == .timeout
        take(
            machine.decodeFailed(failure, handedOff: isHandedOff), "decode failed \(failure)", expectsNothing: !wasOpen)
        isTimingOut = false
    }
    private var isTimingOut = false

    mutating func streamOpens() {
        guard !clientIsGone, outcomes == 0, prefillIsReady, mayOpenStream, !isFinished else { return }
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

    private mutating func take(
        _ actions: HandoffActions, _ input: @autoclosure () -> String, expectsNothing: Bool = false
    ) {
        if traces { trace.append("\(input()) -> \(actions.names)") }
        if expectsNothing { require(actions.isEmpty, "an input that cannot happen had an effect") }
        guard !isFinished else { return require(actions.isEmpty, "an action after the end") }
        if isForgotten {
            require(
                actions.isDisjoint(with: [
                    .openPrefill, .openDecode, .openDecodeAlone, .release, .expectStrays, .retryPair, .retryDecode,
                ]), "a leg is needed after the request was let go of")
        }
        if actions.contains(.relayDecode), !machine.needsRequest { isForgotten = true }
        if actions.contains(.cancelPrefill) {
            require(isPrefillOpen, "a prefill that is not open was cancelled")
            require(rules.prefillMayBeCancelled, "a prefill that must run to its end was cancelled")
            isPrefillOpen = false
        }
        if actions.contains(.cancelDecode) {
            require(isDecodeOpen, "a decode that is not open was cancelled")
            if isHandedOff, !decodeHadHead, !rules.decodeMayBeCancelledBeforeHead {
                require(isTimingOut && actions.contains(.release), "a decode that holds KV was cancelled")
            }
            // A decoder that sees its client leave frees the KV, or tells the prefill engine to.
            if isHandedOff, !decodeHadHead, !isTimingOut { owes = false }
            isDecodeOpen = false
        }
        if actions.contains(.expectStrays) { require(mayStray, "strays are expected where none can come") }
        if mayStray { require(actions.contains(.expectStrays), "nobody listens for KV that may still be announced") }
        mayStray = false
        if actions.contains(.release) {
            require(rules.release != .nothing, "a release where nothing is held")
            owes = false
        }
        for outcome in Self.outcomes where actions.contains(outcome) {
            require(!clientIsGone && outcomes == 0 && !streamIsOpen && !isRelaying, "a second answer")
            outcomes += 1
        }
        if actions.contains(.breakStream) {
            require(!clientIsGone && outcomes == 0 && (streamIsOpen || isRelaying), "an error event without a stream")
            outcomes += 1
        }
        if actions.contains(.relayDecode) {
            require(isDecodeOpen && decodeHadHead, "a relay without a head")
            require(!clientIsGone && outcomes == 0 && !isRelaying, "a relay to nobody")
            isRelaying = true
        }
        require(Self.ways.count { actions.contains($0) } <= 1, "two ways on at once")
        if actions.contains(.awaitNotices) {
            require(noticesLeft > 0, "a wait for nothing")
            isAwaitingNotices = true
        }
        if noticesLeft == 0 { isAwaitingNotices = false }
        mayOpenStream = !actions.isDisjoint(with: [.awaitNotices, .openDecode])
        open(actions)
        if actions.contains(.retryPair) || actions.contains(.retryDecode) {
            require(!isPrefillOpen && !isDecodeOpen, "a retry beside an open leg")
            require(!clientIsGone && outcomes == 0 && !streamIsOpen && !isRelaying, "a retry behind the client's back")
            pending = actions.contains(.retryPair) ? .pair : .decode
            usedRetries += 1
            require(usedRetries <= retries + 6, "retries without end")
        }
        if actions.contains(.retryPair) {
            require(!owes, "KV of the last attempt was forgotten")
            require(noticesLeft == 0, "notifications of the last attempt were forgotten")
            prefillIsReady = false
        }
        if actions.contains(.finish) {
            isFinished = true
            require(!isPrefillOpen && !isDecodeOpen, "an open leg at the end")
            require(!owes, "KV was leaked")
            let count = outcomes
            require(count == 1, "\(count) outcomes for the client")
            require(!isAwaitingNotices, "notifications due at the end")
            require(pending == .nothing || clientIsGone, "the end in the middle of a choice")
        }
    }

    private mutating func open(_ actions: HandoffActions) {
        if actions.contains(.openPrefill) {
            require(!isPrefillOpen && !isDecodeOpen, "a prefill beside another leg")
            require(!clientIsGone, "a prefill for nobody")
            isPrefillOpen = true
            prefillIsReady = false
            noticesTimedOut = false
            noticesLeft = rules.expectedNotices
        }
        if actions.contains(.openDecode) {
            require(prefillIsReady, "a hand-off without a prefill")
            require(noticesLeft == 0 || noticesTimedOut, "a hand-off before the KV arrived")
            openDecode(handedOff: true)
        }
        if actions.contains(.openDecodeAlone) { openDecode(handedOff: false) }
    }

    private mutating func openDecode(handedOff: Bool) {
        require(!isDecodeOpen && !isPrefillOpen, "a decode beside another leg")
        require(!clientIsGone && outcomes == 0, "a decode for nobody")
        isDecodeOpen = true
        decodeHadHead = false
        isHandedOff = handedOff
    }

    // MARK: The end

    /// Lets every open leg end and every timer fire; the machine must then be at its end.
    mutating func drive(using generator: inout SeededGenerator) {
        for _ in 0..<64 where !isFinished {
            if pending != .nothing {
                chosen(Bool.random(using: &generator), alone: Bool.random(using: &generator))
            } else if isPrefillOpen {
                prefillAnswered([.ready, .failed, .complete].randomElement(using: &generator) ?? .ready)
            } else if isDecodeOpen, !decodeHadHead {
                decodeHead([200, 503, 400].randomElement(using: &generator) ?? 200)
            } else if isDecodeOpen {
                decodeEnded()
            } else if isAwaitingNotices {
                if Bool.random(using: &generator) { noticeArrived() } else { noticesExpired() }
            } else {
                break
            }
        }
        require(isFinished, "stuck: no leg is open and no timer runs")
        for input in 0..<4 {
            switch input {
            case 0: take(machine.clientGone(), "client gone after the end")
            case 1: take(machine.noticeArrived(), "notice after the end")
            case 2: take(machine.noBackend(), "nobody after the end")
            default: take(machine.start(alone: true), "start after the end")
            }
        }
    }

    private static let failures: [HandoffMachine.Failure] = [.connect, .broken, .timeout]
    private static let statuses = [200, 200, 400, 429, 500, 503]
    private static let outcomes: [HandoffActions] = [.answerFromPrefill, .fail]
    private static let ways: [HandoffActions] = [.openPrefill, .openDecode, .openDecodeAlone, .retryPair, .retryDecode]

    /// One random input, often one that cannot happen now.
    mutating func step(using generator: inout SeededGenerator) {
        switch Int.random(in: 0..<22, using: &generator) {
        case 0..<3: prefillAnswered(.ready)
        case 3: prefillAnswered(.complete)
        case 4: prefillAnswered(.unusable)
        case 5: prefillAnswered(.failed)
        case 6: prefillAnswered(.rejected)
        case 7: prefillFailed(Self.failures.randomElement(using: &generator) ?? .broken)
        case 8..<11: noticeArrived()
        case 11, 12: noticesExpired()
        case 13, 14:
            decodeHead(
                Self.statuses.randomElement(using: &generator) ?? 200,
                mayRetry: Int.random(in: 0..<4, using: &generator) > 0)
        case 15: decodeEnded()
        case 16: decodeFailed(Self.failures.randomElement(using: &generator) ?? .broken)
        case 17: if Int.random(in: 0..<3, using: &generator) == 0 { clientLeaves() }
        case 18: if Int.random(in: 0..<3, using: &generator) == 0 { streamOpens() }
        default:
            chosen(Int.random(in: 0..<5, using: &generator) > 0, alone: Int.random(in: 0..<6, using: &generator) == 0)
        }
    }
}

extension HandoffActions {
    /// The names of what is in the set.
    var names: String {
        let all: [(HandoffActions, String)] = [
            (.openPrefill, "openPrefill"), (.cancelPrefill, "cancelPrefill"), (.awaitNotices, "awaitNotices"),
            (.openDecode, "openDecode"), (.openDecodeAlone, "openDecodeAlone"), (.cancelDecode, "cancelDecode"),
            (.release, "release"), (.retryDecode, "retryDecode"), (.retryPair, "retryPair"),
            (.relayDecode, "relayDecode"), (.answerFromPrefill, "answerFromPrefill"), (.fail, "fail"),
            (.breakStream, "breakStream"), (.finish, "finish"), (.expectStrays, "expectStrays"),
        ]
        return "[" + all.filter { contains($0.0) }.map(\.1).joined(separator: ", ") + "]"
    }
}

@Suite("Hand-off machine fuzz")
struct HandoffMachineFuzzTests {
    static let ruleSets: [HandoffRules] = [
        LMCacheProtocol(firstToken: .decode, expectedNotices: 1).rules,
        LMCacheProtocol(firstToken: .decode, expectedNotices: 2).rules,
        NixlProtocol().rules, PlainProtocol().rules,
        // No protocol yet: every rule turned the other way.
        HandoffRules(
            prefillMayBeCancelled: true, decodeMayBeCancelledBeforeHead: false, expectedNotices: 1,
            release: .throwAwayDecode, prefillOutlivesDecoder: true, decodeMayBeRepeated: true),
    ]

    @Test("no order of events breaks a rule, leaks KV, answers twice or gets stuck", arguments: 0..<4)
    func anything(part: Int) async {
        let isLong = getenv("DISAGG_FUZZ").map { String(cString: $0) } == "long"
        let count = (isLong ? 5_000_000 : 200_000) / 4
        let first = getenv("DISAGG_FUZZ_SEED").flatMap { UInt64(String(cString: $0)) }
        for index in 0..<count {
            // The other tests share the threads.
            if index % 200 == 0 { await Task.yield() }
            let seed = first ?? UInt64(part * count + index)
            if !Self.run(seed: seed).violations.isEmpty {
                let model = Self.run(seed: seed, traces: true)
                Issue.record(
                    """
                    DISAGG_FUZZ_SEED=\(seed) \(model.rules)
                    \(model.violations.joined(separator: "; "))
                    \(model.trace.joined(separator: "\n"))
                    """)
                return
            }
            if first != nil { return }
        }
    }

    static func run(seed: UInt64, traces: Bool = false) -> HandoffMachineModel {
        var generator = SeededGenerator(seed: seed)
        let rules = ruleSets[Int(seed % UInt64(ruleSets.count))]
        var model = HandoffMachineModel(rules: rules, retries: Int.random(in: 0...2, using: &generator), traces: traces)
        model.start(alone: Int.random(in: 0..<8, using: &generator) == 0)
        for _ in 0..<Int.random(in: 0..<24, using: &generator) { model.step(using: &generator) }
        model.drive(using: &generator)
        return model
    }
}
