import Testing

@testable import DisaggCore

/// One event of a request's life, as the driver tells it to the machine.
enum HandoffInput: Sendable {
    case start, startAlone
    case prefill(HandoffMachine.PrefillAnswer)
    case prefillFails(HandoffMachine.Failure)
    case notice, noticesTimeOut
    case head(Int), soleHead(Int)
    case aloneHead(Int)
    case decodeEnds
    case decodeFails(HandoffMachine.Failure)
    case aloneFails(HandoffMachine.Failure)
    case clientLeaves, streamOpens
    case decodeSent, decodeBreaksResumably
    case leaseEnds, leaseEndsBehindDecode
    case restart, restartAlone, decodeRestarts, noBackend
}

/// A request's life and what the machine must do at each event.
struct HandoffStory: Sendable, CustomTestStringConvertible {
    var name: String
    var steps: [(HandoffInput, HandoffActions)]
    var retries = 2

    var testDescription: String { name }

    init(_ name: String, retries: Int = 2, _ steps: [(HandoffInput, HandoffActions)]) {
        self.name = name
        self.retries = retries
        self.steps = steps
    }

    func check(_ rules: HandoffRules) {
        var machine = HandoffMachine(rules: rules, retries: retries)
        for (index, (input, expected)) in steps.enumerated() {
            let actions: HandoffActions
            switch input {
            case .start: actions = machine.start(alone: false)
            case .startAlone: actions = machine.start(alone: true)
            case .prefill(let answer): actions = machine.prefillAnswered(answer)
            case .prefillFails(let failure): actions = machine.prefillFailed(failure)
            case .notice: actions = machine.noticeArrived()
            case .noticesTimeOut: actions = machine.noticesTimedOut()
            case .head(let status): actions = machine.decodeHead(status: status, handedOff: true)
            case .soleHead(let status): actions = machine.decodeHead(status: status, handedOff: true, mayRetry: false)
            case .aloneHead(let status): actions = machine.decodeHead(status: status, handedOff: false)
            case .decodeEnds: actions = machine.decodeEnded()
            case .decodeFails(let failure): actions = machine.decodeFailed(failure, handedOff: true)
            case .aloneFails(let failure): actions = machine.decodeFailed(failure, handedOff: false)
            case .clientLeaves: actions = machine.clientGone()
            case .streamOpens:
                machine.headWasSent()
                actions = []
            case .decodeSent: actions = machine.decodeWasSent()
            case .decodeBreaksResumably:
                actions = machine.decodeFailed(.broken, handedOff: true, canResume: true)
            case .leaseEnds, .leaseEndsBehindDecode:
                if case .leaseEnds = input {
                    machine.leaseExpired(decodeIsOut: false)
                } else {
                    machine.leaseExpired(decodeIsOut: true)
                }
                actions = []
            case .restart: actions = machine.restart(alone: false)
            case .restartAlone: actions = machine.restart(alone: true)
            case .decodeRestarts: actions = machine.decodeRestarted()
            case .noBackend: actions = machine.noBackend()
            }
            #expect(actions == expected, "step \(index), \(input): \(actions.names), expected \(expected.names)")
        }
        let isFinished = machine.isFinished
        #expect(isFinished, "the story has no end")
    }
}

@Suite("Hand-off machine")
struct HandoffMachineTests {
    @Test(
        "LMCache",
        arguments: [
            HandoffStory(
                "the decode waits for the notification",
                [
                    (.start, .openPrefill), (.prefill(.ready), .awaitNotices), (.notice, .openDecode),
                    (.head(200), .relayDecode), (.decodeEnds, .finish), (.notice, []), (.clientLeaves, []),
                ]),
            HandoffStory(
                "a notification ahead of the answer counts",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a lost notification: the decode goes ahead, and somebody listens for one that is only late",
                [
                    (.start, .openPrefill), (.prefill(.ready), .awaitNotices),
                    (.noticesTimeOut, [.openDecode, .expectStrays]), (.head(200), .relayDecode), (.notice, []),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a client that leaves during the prefill cancels nothing, and the KV is freed when it arrived",
                [
                    (.start, .openPrefill), (.clientLeaves, []), (.prefill(.ready), .awaitNotices),
                    (.notice, [.release, .finish]),
                ]),
            HandoffStory(
                "a client that leaves between the legs: the KV is freed when it arrived",
                [
                    (.start, .openPrefill), (.prefill(.ready), .awaitNotices), (.clientLeaves, []),
                    (.notice, [.release, .finish]),
                ]),
            HandoffStory(
                "a client that leaves before the decode's first byte: it is cancelled after it",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode), (.clientLeaves, []),
                    (.head(200), [.cancelDecode, .finish]),
                ]),
            HandoffStory(
                "a client that leaves in the middle of the stream",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.clientLeaves, [.cancelDecode, .finish]),
                ]),
            HandoffStory(
                "a decoder that rejects the request: the KV is freed",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode),
                    (.head(400), [.relayDecode, .release]), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a decoder that refuses: the KV is freed and a whole new pair is tried",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode),
                    (.head(503), [.release, .cancelDecode, .retryPair]), (.restart, .openPrefill),
                    (.prefill(.ready), .awaitNotices), (.notice, .openDecode), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "the only decoder's refusal is the client's answer",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode),
                    (.soleHead(503), [.release, .relayDecode]), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill that is too slow is never cancelled: the client is told, the KV is freed",
                [
                    (.start, .openPrefill), (.prefillFails(.timeout), .fail), (.prefill(.ready), .awaitNotices),
                    (.notice, [.release, .finish]),
                ]),
            HandoffStory(
                "a prefill that breaks may have sent its KV: somebody listens for it",
                [
                    (.start, .openPrefill), (.prefillFails(.broken), [.retryPair, .expectStrays]),
                    (.restartAlone, .openDecodeAlone), (.aloneHead(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill that breaks after its KV arrived: it is freed",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.failed), [.release, .retryPair]),
                    (.noBackend, [.fail, .finish]),
                ]),
            HandoffStory(
                "a new pair after a lost notification",
                [
                    (.start, .openPrefill), (.prefill(.ready), .awaitNotices),
                    (.noticesTimeOut, [.openDecode, .expectStrays]),
                    (.head(500), [.release, .cancelDecode, .retryPair]), (.restart, .openPrefill),
                    (.notice, []), (.prefill(.ready), .openDecode), (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a complete first token: the KV is freed after the answer",
                [
                    (.start, .openPrefill), (.prefill(.complete), [.answerFromPrefill, .awaitNotices]),
                    (.notice, [.release, .finish]),
                ]),
            HandoffStory(
                "an unusable first token: the decoder answers alone, also after a retry, and the KV is freed",
                [
                    (.start, .openPrefill), (.prefill(.unusable), [.openDecodeAlone, .awaitNotices]),
                    (.aloneFails(.connect), .retryDecode), (.decodeRestarts, .openDecodeAlone), (.notice, .release),
                    (.aloneHead(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a client that leaves while a decoder is chosen: none is sent anything",
                [
                    (.start, .openPrefill), (.prefill(.unusable), [.openDecodeAlone, .awaitNotices]),
                    (.aloneFails(.connect), .retryDecode), (.clientLeaves, []), (.decodeRestarts, []),
                    (.notice, [.release, .finish]),
                ]),
            HandoffStory(
                "a stream that began ends with an error event",
                [
                    (.start, .openPrefill), (.prefill(.ready), .awaitNotices), (.streamOpens, []),
                    (.notice, .openDecode), (.decodeFails(.broken), [.release, .breakStream, .finish]),
                ]),
            HandoffStory(
                "a decoder that hangs is given up, and asked to free the KV",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .openDecode),
                    (.decodeFails(.timeout), [.cancelDecode, .release, .fail, .finish]),
                ]),
            HandoffStory(
                "an invalid request: the decoder judges it",
                [
                    (.start, .openPrefill), (.prefill(.rejected), .openDecodeAlone), (.aloneHead(400), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
        ])
    func lmcache(story: HandoffStory) { story.check(LMCacheProtocol(firstToken: .decode, expectedNotices: 1).rules) }

    @Test(
        "LMCache with two ranks",
        arguments: [
            HandoffStory(
                "the decode waits for both",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .awaitNotices), (.notice, .openDecode),
                    (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "one that is lost: the decode goes ahead",
                [
                    (.start, .openPrefill), (.notice, []), (.prefill(.ready), .awaitNotices),
                    (.noticesTimeOut, [.openDecode, .expectStrays]), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "one that is lost and a client that is gone: what did come is freed",
                [
                    (.start, .openPrefill), (.notice, []), (.clientLeaves, []), (.prefill(.ready), .awaitNotices),
                    (.noticesTimeOut, [.release, .expectStrays, .finish]),
                ]),
        ])
    func ranks(story: HandoffStory) { story.check(LMCacheProtocol(firstToken: .decode, expectedNotices: 2).rules) }

    @Test(
        "NIXL",
        arguments: [
            HandoffStory(
                "the decode follows the prefill's answer",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a client that leaves during the prefill cancels it",
                [(.start, .openPrefill), (.clientLeaves, [.cancelPrefill, .finish])]),
            HandoffStory(
                "a client that leaves during the decode cancels it, and releases: its decoder may be dead",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode),
                    (.clientLeaves, [.cancelDecode, .release, .finish]),
                ]),
            HandoffStory(
                "a decoder that rejects tells the prefill engine itself",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(400), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a refused connection: another decoder with the same parameters",
                retries: 0,
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.connect), .retryDecode),
                    (.decodeRestarts, .openDecode), (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "no other decoder: the blocks are freed",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.connect), .retryDecode),
                    (.noBackend, [.release, .fail, .finish]),
                ]),
            HandoffStory(
                "a client that leaves while another decoder is chosen: the blocks are freed",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.connect), .retryDecode),
                    (.clientLeaves, [.release, .finish]), (.decodeRestarts, []),
                ]),
            HandoffStory(
                "a decoder that refuses or breaks may not have told anyone: the blocks are freed before a new pair",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode),
                    (.head(503), [.release, .cancelDecode, .retryPair]), (.restart, .openPrefill),
                    (.prefill(.ready), .openDecode), (.decodeFails(.broken), [.release, .retryPair]),
                    (.restart, .openPrefill), (.prefill(.ready), .openDecode),
                    (.decodeFails(.broken), [.release, .fail, .finish]),
                ]),
            HandoffStory(
                "a prefill that is too slow is cancelled",
                [(.start, .openPrefill), (.prefillFails(.timeout), [.cancelPrefill, .fail, .finish])]),
            HandoffStory(
                "a prefill whose engine fell silent is cancelled and another pair tried",
                [
                    (.start, .openPrefill), (.prefillFails(.silent), [.cancelPrefill, .retryPair]),
                    (.restart, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
        ])
    func nixl(story: HandoffStory) { story.check(NixlProtocol().rules) }

    @Test(
        "plain",
        arguments: [
            HandoffStory(
                "a prefill that fails for the last time leaves the decoder alone",
                retries: 1,
                [
                    (.start, .openPrefill), (.prefillFails(.broken), .retryPair), (.restart, .openPrefill),
                    (.prefill(.failed), .openDecodeAlone), (.aloneHead(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "refused connections use up no retry",
                retries: 0,
                [
                    (.start, .openPrefill), (.prefillFails(.connect), .retryPair), (.restart, .openPrefill),
                    (.prefillFails(.connect), .retryPair), (.restart, .openPrefill), (.prefill(.ready), .openDecode),
                    (.decodeFails(.connect), .retryDecode), (.decodeRestarts, .openDecode), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a decode that fails before its first byte is repeated with the same prefill",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.broken), .retryDecode),
                    (.decodeRestarts, .openDecode), (.head(500), [.cancelDecode, .retryDecode]),
                    (.decodeRestarts, .openDecode), (.decodeFails(.broken), [.fail, .finish]),
                ]),
            HandoffStory(
                "a decode that fails after its first byte is not repeated",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeFails(.broken), [.breakStream, .finish]),
                ]),
            HandoffStory(
                "a client that leaves cancels whichever leg runs",
                [
                    (.start, .openPrefill), (.clientLeaves, [.cancelPrefill, .finish]), (.prefill(.ready), []),
                    (.clientLeaves, []), (.start, []),
                ]),
            HandoffStory(
                "a request served alone has one leg",
                [(.startAlone, .openDecodeAlone), (.aloneHead(200), .relayDecode), (.decodeEnds, .finish)]),
        ])
    func plain(story: HandoffStory) { story.check(PlainProtocol().rules) }
}
