import Testing

@testable import DisaggCore

/// The machine where both legs are in flight, where the decoder is asked first, and where a decoder cannot prefill.
@Suite("Hand-off machine, pairs")
struct HandoffMachinePairTests {
    @Test(
        "Mooncake",
        arguments: [
            HandoffStory(
                "both legs go out at once, and the decode is relayed whenever it answers",
                [
                    (.start, [.openPrefill, .openDecode]), (.prefill(.ready), []), (.head(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill that answers after its decode is waited for",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), .relayDecode), (.decodeEnds, []),
                    (.prefill(.ready), .finish),
                ]),
            HandoffStory(
                "a prefill that fails aborts the decode at once, and a new pair is tried",
                [
                    (.start, [.openPrefill, .openDecode]), (.prefill(.failed), [.cancelDecode, .retryPair]),
                    (.restart, [.openPrefill, .openDecode]), (.prefillFails(.broken), [.cancelDecode, .retryPair]),
                    (.restart, [.openPrefill, .openDecode]), (.prefillFails(.connect), [.cancelDecode, .retryPair]),
                    (.restart, [.openPrefill, .openDecode]), (.prefill(.failed), [.cancelDecode, .openDecodeAlone]),
                    (.aloneHead(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a decode that is refused cancels the prefill, and a new pair is tried",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(503), [.cancelPrefill, .cancelDecode, .retryPair]),
                    (.restart, [.openPrefill, .openDecode]), (.decodeFails(.connect), [.cancelPrefill, .retryPair]),
                    (.restart, [.openPrefill, .openDecode]), (.prefill(.ready), []),
                    (.decodeFails(.broken), [.release, .retryPair]), (.restart, [.openPrefill, .openDecode]),
                    (.head(200), .relayDecode), (.prefill(.ready), []), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a decoder that rejects the request ends both legs; it told the prefill engine itself",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(400), [.cancelPrefill, .relayDecode]),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill that fails behind an answering decoder disturbs nobody",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), .relayDecode), (.prefillFails(.broken), []),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill that hangs behind an answering decoder is cancelled alone",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), .relayDecode),
                    (.prefillFails(.timeout), .cancelPrefill), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill that hangs takes its decode along",
                [
                    (.start, [.openPrefill, .openDecode]),
                    (.prefillFails(.timeout), [.cancelPrefill, .cancelDecode, .fail, .finish]),
                ]),
            HandoffStory(
                "a client that leaves cancels both legs",
                [
                    (.start, [.openPrefill, .openDecode]),
                    (.clientLeaves, [.cancelPrefill, .cancelDecode, .finish]), (.prefill(.ready), []), (.head(200), []),
                ]),
            HandoffStory(
                "a client that leaves after the prefill cancels the decode, and frees what it may not have read",
                [
                    (.start, [.openPrefill, .openDecode]), (.prefill(.ready), []),
                    (.clientLeaves, [.cancelDecode, .release, .finish]),
                ]),
            HandoffStory(
                "a prefill that is rejected: the decoder judges the request alone",
                [
                    (.start, [.openPrefill, .openDecode]), (.prefill(.rejected), [.cancelDecode, .openDecodeAlone]),
                    (.aloneHead(400), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a decode that breaks in the middle of the stream cancels a prefill that still runs",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), .relayDecode),
                    (.decodeFails(.broken), [.cancelPrefill, .breakStream, .finish]),
                ]),
        ])
    func mooncake(story: HandoffStory) { story.check(MooncakeProtocol().rules) }

    @Test(
        "SGLang",
        arguments: [
            HandoffStory(
                "a decode's answer is held back until the prefill is known to be good",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), []), (.prefill(.ready), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "what a decoder answers behind a failed prefill is never shown",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), []),
                    (.prefill(.failed), [.cancelDecode, .retryPair]), (.restart, [.openPrefill, .openDecode]),
                    (.prefill(.ready), []), (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a prefill's rejection is the client's answer",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), []),
                    (.prefill(.rejected), [.cancelDecode, .answerFromPrefill, .finish]),
                ]),
            HandoffStory(
                "no decoder is ever asked alone",
                retries: 1,
                [
                    (.start, [.openPrefill, .openDecode]), (.prefill(.failed), [.cancelDecode, .retryPair]),
                    (.restart, [.openPrefill, .openDecode]), (.prefill(.failed), [.cancelDecode, .fail, .finish]),
                ]),
            HandoffStory(
                "no partner: an error",
                [
                    (.start, [.openPrefill, .openDecode]), (.prefill(.failed), [.cancelDecode, .retryPair]),
                    (.restartAlone, [.fail, .finish]),
                ]),
            HandoffStory(
                "a decode that breaks while it is held back has not failed the client",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), []),
                    (.decodeFails(.broken), [.cancelPrefill, .retryPair]), (.restart, [.openPrefill, .openDecode]),
                    (.prefill(.ready), []), (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a client that leaves while an answer is held back cancels both legs",
                [
                    (.start, [.openPrefill, .openDecode]), (.head(200), []),
                    (.clientLeaves, [.cancelPrefill, .cancelDecode, .finish]),
                ]),
        ])
    func sglang(story: HandoffStory) { story.check(SGLangProtocol().rules) }

    @Test(
        "NIXL push",
        arguments: [
            HandoffStory(
                "the prefill follows the decode onto the wire",
                [
                    (.start, .openDecode), (.decodeSent, .openPrefill), (.decodeSent, []), (.prefill(.ready), []),
                    (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a decoder that cannot be connected costs the prefill engine nothing",
                retries: 0,
                [
                    (.start, .openDecode), (.decodeFails(.connect), .retryPair), (.restart, .openDecode),
                    (.decodeSent, .openPrefill), (.head(200), .relayDecode), (.prefill(.ready), []),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "a client that leaves before the prefill is sent",
                [(.start, .openDecode), (.clientLeaves, [.cancelDecode, .finish]), (.decodeSent, [])]),
            HandoffStory(
                "nothing is released: the lease frees the blocks",
                [
                    (.start, .openDecode), (.decodeSent, .openPrefill), (.prefill(.ready), []),
                    (.head(500), [.cancelDecode, .retryPair]), (.restart, .openDecode),
                    (.decodeSent, .openPrefill), (.prefill(.ready), []), (.soleHead(500), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
        ])
    func nixlPush(story: HandoffStory) { story.check(NixlPushProtocol().rules) }

    @Test(
        "P2pNccl",
        arguments: [
            HandoffStory(
                "a client that leaves during the prefill: it runs on, then a throw-away decode takes the KV out",
                [(.start, .openPrefill), (.clientLeaves, []), (.prefill(.ready), [.release, .finish])]),
            HandoffStory(
                "a prefill that failed is never decoded",
                retries: 0,
                [(.start, .openPrefill), (.prefillFails(.broken), [.fail, .finish])]),
            HandoffStory(
                "a decode that broke may have read the KV: another would hang the decoder",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.broken), .retryPair),
                    (.restart, .openPrefill), (.prefill(.ready), .openDecode),
                    (.head(400), [.release, .relayDecode]), (.decodeEnds, .finish),
                ]),
        ])
    func p2pNCCL(story: HandoffStory) { story.check(P2pNCCLProtocol().rules) }

    @Test(
        "llm-d",
        arguments: [
            HandoffStory(
                "there is one leg",
                [
                    (.start, .openDecode), (.decodeSent, []), (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "another side-car is tried before the first byte",
                [
                    (.start, .openDecode), (.head(503), [.cancelDecode, .retryPair]), (.restart, .openDecode),
                    (.decodeFails(.broken), .retryPair), (.restartAlone, .openDecodeAlone),
                    (.aloneHead(200), .relayDecode), (.decodeEnds, .finish),
                ]),
        ])
    func llmd(story: HandoffStory) { story.check(SidecarProtocol().rules) }

    @Test(
        "leases",
        arguments: [
            HandoffStory(
                "a decode is not sent after the lease: a new pair, and no release",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.connect), .retryDecode),
                    (.leaseEnds, []), (.decodeRestarts, .retryPair), (.restart, .openPrefill),
                    (.prefill(.ready), .openDecode), (.head(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "without a retry left the decoder serves alone",
                retries: 0,
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.connect), .retryDecode),
                    (.leaseEnds, []), (.decodeRestarts, .openDecodeAlone), (.aloneHead(200), .relayDecode),
                    (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "blocks whose lease ended need no release",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.decodeFails(.connect), .retryDecode),
                    (.leaseEnds, []), (.clientLeaves, .finish),
                ]),
            HandoffStory(
                "a decode that went out in time keeps the lease alive",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.leaseEndsBehindDecode, []),
                    (.head(503), [.release, .cancelDecode, .retryPair]), (.noBackend, [.fail, .finish]),
                ]),
        ])
    func lease(story: HandoffStory) { story.check(NixlProtocol().rules) }

    @Test(
        "resuming",
        arguments: [
            HandoffStory(
                "a stream that breaks goes on at another decoder",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeBreaksResumably, .resumeDecode), (.decodeRestarts, .openDecodeAlone),
                    (.aloneHead(200), .relayDecode), (.decodeEnds, .finish),
                ]),
            HandoffStory(
                "where no other decoder is found, or it refuses, the stream ends with an error event",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeBreaksResumably, .resumeDecode), (.noBackend, [.breakStream, .finish]),
                ]),
            HandoffStory(
                "a second decoder that refuses ends the stream with an error event",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeBreaksResumably, .resumeDecode), (.decodeRestarts, .openDecodeAlone),
                    (.aloneHead(503), [.cancelDecode, .breakStream, .finish]),
                ]),
            HandoffStory(
                "a client that leaves while a decoder is chosen",
                [
                    (.start, .openPrefill), (.prefill(.ready), .openDecode), (.head(200), .relayDecode),
                    (.decodeBreaksResumably, .resumeDecode), (.clientLeaves, .finish), (.decodeRestarts, []),
                ]),
        ])
    func resuming(story: HandoffStory) { story.check(NixlProtocol().rules) }

    @Test(
        "a deployment without a fallback",
        arguments: [
            HandoffStory(
                "a prefill that fails for the last time is an error",
                retries: 0,
                [(.start, .openPrefill), (.prefill(.failed), [.fail, .finish])]),
            HandoffStory("no prefill engine is an error", [(.restartAlone, [.fail, .finish])]),
            HandoffStory(
                "what only a decoder can do is still done by it",
                [(.startAlone, .openDecodeAlone), (.aloneHead(200), .relayDecode), (.decodeEnds, .finish)]),
        ])
    func noFallback(story: HandoffStory) { story.check(NixlProtocol(fallsBack: false).rules) }
}
