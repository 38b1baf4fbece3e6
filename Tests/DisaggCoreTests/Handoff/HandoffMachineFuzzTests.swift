import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite("Hand-off machine fuzz")
struct HandoffMachineFuzzTests {
    /// The rules of every protocol in every mode, and some of no protocol yet: every rule turned the other way.
    static let ruleSets: [HandoffRules] = [
        LMCacheProtocol(firstToken: .decode, expectedNotices: 1).rules,
        LMCacheProtocol(firstToken: .decode, expectedNotices: 2, fallsBack: false).rules,
        LMCacheMPProtocol(workers: 2).rules, NixlProtocol().rules, NixlPushProtocol().rules, MooncakeProtocol().rules,
        MoRIIOProtocol(mode: .read).rules, MoRIIOProtocol(mode: .write, fallsBack: false).rules,
        P2pNCCLProtocol().rules, OffloadP2PProtocol().rules, SGLangProtocol().rules,
        TensorRTProtocol(style: .contextFirst).rules, TensorRTProtocol(style: .generationFirst).rules,
        SidecarProtocol().rules, PlainProtocol().rules,
        HandoffRules(
            decodeMayBeCancelledBeforeHead: false, expectedNotices: 1, release: .throwAwayDecode,
            prefillOutlivesDecoder: true, decodeMayBeRepeated: true, lease: .seconds(30)),
        HandoffRules(
            dispatch: .decodeFirst, release: .rejectedDecode, lease: .seconds(30), decodeWaitsForPrefill: true),
    ]

    /// Sequences of a quick run.
    static let quickCount = 1_020_000

    @Test("no order of events breaks a rule, leaks KV, answers twice or gets stuck", arguments: 0..<4)
    func anything(part: Int) async {
        let isLong = getenv("DISAGG_FUZZ").map { String(cString: $0) } == "long"
        let count = (isLong ? 20 * Self.quickCount : Self.quickCount) / 4
        let first = getenv("DISAGG_FUZZ_SEED").flatMap { UInt64(String(cString: $0)) }
        for index in 0..<count {
            // The other tests share the threads.
            if index % 500 == 0 { await Task.yield() }
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
        let draw = generator.next()
        var model = HandoffMachineModel(
            rules: ruleSets[Int(seed % UInt64(ruleSets.count))], retries: Int(draw % 3),
            canResume: draw >> 8 & 7 == 0, traces: traces)
        model.start(alone: draw >> 16 & 7 == 0)
        for _ in 0..<((draw >> 24) % 12) { model.step(using: &generator) }
        model.drive(using: &generator)
        return model
    }
}
