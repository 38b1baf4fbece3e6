/// What a hand-off costs a request, and the decode engine.
///
/// A hand-off moves `n` tokens of KV cache. Its time has a part that only the request waits for, and a part in which the
/// decode engine's loop stands still, so that every running request waits.
public struct HandoffProfile: Sendable, Hashable {
    /// How it moves and who samples the first token.
    public var kind: HandoffKind
    /// Who samples the first token; read by `lmcache` only.
    public var firstToken: FirstTokenSource
    /// Added to the prefill engine's answer, in ms: what it sends before it answers.
    public var sendMilliseconds: Double
    /// The same for each token, in µs.
    public var sendMicrosecondsPerToken: Double
    /// From the prefill engine's answer until the decode engine can schedule the request, in ms.
    public var waitMilliseconds: Double
    /// The same for each token, in µs.
    public var waitMicrosecondsPerToken: Double
    /// For how long the decode engine's loop stands still when the request joins, in ms.
    public var stallMilliseconds: Double
    /// The same for each token, in µs.
    public var stallMicrosecondsPerToken: Double
    /// Where the numbers come from.
    public var basis: String

    /// Added to every step of a decode engine, in ms: its connector looks for arrivals and departures.
    public var stepMilliseconds: Double
    /// Whether the client's first token comes from the prefill engine.
    public var answersFromPrefill: Bool

    /// The profile of a hand-off for a model over a link.
    ///
    /// For `lmcache` and `nixl` the times were measured between two H200 with NVLink, Llama-3.1-8B, vLLM 0.24.0,
    /// LMCache 0.5.1, NIXL 1.3.2 in eager mode (Docs/EngineFacts.md rows 1, 2 and 15, and the calibration's row of 2,000
    /// tokens at 4 requests a second): an LMCache decode engine answered 88 ms after the prefill engine, of which 16 ms
    /// are a step; each joining request also held up the running ones, by about 30 ms at 2,000 tokens. A NIXL pull of
    /// 7,500 tokens took until 249 ms after the answer, 4 GB/s: it copies block by block, layer by layer.
    ///
    /// - Parameters:
    ///   - kvBytesPerToken: KV cache of one token in one rank of the decode engine.
    ///   - linkGigabytesPerSecond: what one GPU sends another in one direction.
    public init(
        _ kind: HandoffKind, firstToken: FirstTokenSource = .prefill, kvBytesPerToken: Int,
        linkGigabytesPerSecond: Double
    ) {
        self.kind = kind
        self.firstToken = firstToken
        // A copy between GPUs reaches about 0.55 of NVLink's rate (250 GB/s of 450), RDMA and PCIe about 0.8 of theirs.
        let share = linkGigabytesPerSecond > 100 ? 0.55 : 0.8
        let copy = Double(kvBytesPerToken) / max(0.01, share * linkGigabytesPerSecond) / 1e3
        answersFromPrefill = kind == .lmcache && firstToken == .prefill
        // The calibration's pair run: 16.7 ms between tokens of some eight requests, where the engine alone takes 16.2.
        stepMilliseconds = kind == .none ? 0 : 0.5
        sendMilliseconds = 0
        sendMicrosecondsPerToken = 0
        waitMilliseconds = 0
        waitMicrosecondsPerToken = 0
        stallMilliseconds = 0
        stallMicrosecondsPerToken = 0
        switch kind {
        case .none: basis = "no hand-off"
        case .nixl:
            waitMilliseconds = 20
            // Not measured: the joining step computes the prompt's last token, so it launches a little longer.
            stallMilliseconds = 3
            // 28 µs a token for the 131,072 bytes of Llama-3.1-8B, in blocks of 16 tokens a layer.
            waitMicrosecondsPerToken = max(copy, 28 * Double(kvBytesPerToken) / 131_072)
            basis = "NIXL between two H200, one run"
        default:
            sendMilliseconds = 0.4
            sendMicrosecondsPerToken = copy
            waitMilliseconds = firstToken == .prefill ? 30 : 8
            stallMilliseconds = 26
            stallMicrosecondsPerToken = 2.2 * Double(kvBytesPerToken) / 131_072
            basis = "LMCache between two H200, two runs"
        }
    }

    /// Milliseconds of the parts for a prompt.
    func send(tokens: Int) -> Double { sendMilliseconds + sendMicrosecondsPerToken * Double(tokens) / 1e3 }
    func wait(tokens: Int) -> Double { waitMilliseconds + waitMicrosecondsPerToken * Double(tokens) / 1e3 }
    func stall(tokens: Int) -> Double { stallMilliseconds + stallMicrosecondsPerToken * Double(tokens) / 1e3 }
}
