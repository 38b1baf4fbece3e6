import NIOCore
import Testing

@testable import DisaggCore

/// When a hand-off does not pay.
@Suite("Conditional hand-off")
struct ConditionalHandoffTests {
    private typealias Facts = ConditionalHandoff.Facts

    private static func settings(_ change: (inout ConditionalSettings) -> Void) -> ConditionalSettings {
        var settings = ConditionalSettings()
        change(&settings)
        return settings
    }

    @Test("nothing is skipped by default")
    func off() {
        #expect(!ConditionalSettings().isOn)
        for facts in [
            Facts(promptTokens: 0), Facts(promptTokens: 1, cachedOnDecoder: 1, prefillInFlight: 1000),
        ] {
            #expect(ConditionalHandoff.reasonToDecodeAlone(facts, ConditionalSettings()) == nil)
        }
    }

    @Test(
        "a prompt below the threshold is short, one at it is not",
        arguments: [(0, true), (511, true), (512, false), (100_000, false)])
    func short(tokens: Int, isShort: Bool) {
        let settings = Self.settings { $0.minimumPromptTokens = 512 }
        let reason = ConditionalHandoff.reasonToDecodeAlone(Facts(promptTokens: tokens), settings)
        #expect(reason == (isShort ? .shortPrompt : nil))
    }

    @Test(
        "what the decoder lacks counts, not what it has; without knowledge nothing is skipped",
        arguments: [(1000, 900, true), (1000, 700, false), (1000, 0, false), (100, 0, false), (100, 5000, true)])
    func cached(tokens: Int, cached: Int, isSkipped: Bool) {
        let settings = Self.settings { $0.minimumUncachedTokens = 256 }
        let reason = ConditionalHandoff.reasonToDecodeAlone(
            Facts(promptTokens: tokens, cachedOnDecoder: cached), settings)
        #expect(reason == (isSkipped ? .cachedOnDecoder : nil))
    }

    @Test(
        "a queue at the prefill engine is skipped only where the decoder is idle",
        arguments: [(8, 0, true), (7, 0, false), (8, 2, true), (8, 3, false)])
    func busy(queue: Int, decoding: Int, isSkipped: Bool) {
        let settings = Self.settings {
            $0.prefillQueue = 8
            $0.idleDecodeRequests = 2
        }
        let reason = ConditionalHandoff.reasonToDecodeAlone(
            Facts(promptTokens: 9, prefillInFlight: queue, decodeInFlight: decoding), settings)
        #expect(reason == (isSkipped ? .prefillBusy : nil))
    }

    @Test("a decoder that cannot prefill is never asked to, whatever the settings")
    func strictDecoder() {
        let settings = Self.settings {
            $0.minimumPromptTokens = .max
            $0.minimumUncachedTokens = .max
            $0.prefillQueue = 0
        }
        var facts = Facts(promptTokens: 1, cachedOnDecoder: 1)
        #expect(ConditionalHandoff.reasonToDecodeAlone(facts, settings) == .shortPrompt)
        facts.decoderCanPrefill = false
        #expect(ConditionalHandoff.reasonToDecodeAlone(facts, settings) == nil)
    }
}

/// The value of the decision field.
@Suite("Decision field")
struct HandoffDecisionTests {
    @Test("it is a dictionary of tokens, booleans, strings, numbers and one list")
    func values() {
        var decision = HandoffDecision(handoff: .nixl, reason: .disaggregated)
        decision.prefill = "prefill-0"
        decision.decode = "decode-1"
        #expect(
            decision.fieldValue
                == #"protocol=nixl, disaggregated, reason=disaggregated, prefill="prefill-0", decode="decode-1", retries=0"#
        )
        decision.reason = .prefillFailed
        decision.prefill = nil
        decision.retries = 2
        decision.failed = ["prefill-0", "a\"b\\c\r\nx: é"]
        decision.parts = 3
        #expect(
            decision.fieldValue
                == #"protocol=nixl, disaggregated=?0, reason=prefill-failed, decode="decode-1", retries=2, "#
                + #"failed=("prefill-0" "a\"b\\cx: "), parts=3"#)
        #expect(!decision.line.dropLast(2).contains("\r"))
    }

    @Test("a long list of failures is cut")
    func bounded() {
        var decision = HandoffDecision(handoff: .plain, reason: .noHandoff)
        decision.failed = (0..<100).map { "prefill-\($0)" }
        #expect(decision.fieldValue.utf8.count < 300)
    }

    @Test("every protocol and every reason is a token")
    func tokens() {
        for name in HandoffKind.allCases.map(\.rawValue) + HandoffReason.allCases.map(\.rawValue) {
            #expect(name.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || JSONScanner.isDigit($0) || $0 == 0x2D })
            #expect(name.utf8.first.map { $0 >= 0x61 } == true)
        }
    }
}
