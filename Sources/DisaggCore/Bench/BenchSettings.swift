/// What a benchmark sends, how fast, and when it ends.
package struct BenchSettings: Sendable {
    /// Which of the two generation endpoints is called.
    package enum Endpoint: String, Sendable, CaseIterable {
        case completions, chat

        var path: String { self == .chat ? "/v1/chat/completions" : "/v1/completions" }
    }

    package var target: BenchTarget
    package var endpoint = Endpoint.completions
    /// nil asks `/v1/models`.
    package var model: String?
    /// What `authorization` carries as a bearer token. Never shown.
    package var apiKey: String?

    /// Requests under way at once; nil with a rate means no limit.
    package var concurrency: Int? = 1
    /// Arrivals a second (open loop); nil sends the next request when one has ended (closed loop).
    package var rate: Double?
    /// The rate at the end, which it grows or falls to evenly; nil keeps it.
    package var rampTo: Double?
    /// How many times as fast a trace's requests arrive as it says.
    package var traceSpeed = 1.0
    /// Shape of the gaps between arrivals, see ``ArrivalProcess``.
    package var burstiness = 1.0
    /// Requests to send; nil sends until the time is over.
    package var requests: Int?
    /// For how long requests are started.
    package var duration: Duration?
    /// Requests before the measurement, in a closed loop.
    package var warmup = 0
    /// Seed of arrivals and prompts.
    package var seed: UInt64 = 0

    /// Where requests come from.
    package var dataset = BenchDataset.random
    /// Lengths of random requests lie within this part of theirs, each equally likely; 0 makes all equal.
    package var rangeRatio = 0.0
    /// How prompts of a wanted length are written.
    package var promptForm = PromptForm.auto
    package var inputTokens = 256
    /// The prompt's length in bytes, in place of `inputTokens`.
    package var promptBytes: Int?
    /// Tokens at the start of the prompt that all requests share.
    package var sharedPrefixTokens = 0
    package var outputTokens = 128
    /// Whether engines are asked to go on until all output tokens are there (vLLM's and SGLang's `ignore_eos`).
    package var ignoresEnd = true
    package var isStream = true
    /// Whether streams are asked for the engine's own count of tokens (`stream_options.include_usage`).
    package var wantsUsage = true
    package var keepsAlive = true

    /// Every answer must have all its tokens.
    package var checks = false
    /// Tokens are numbered by the engine and must come in order.
    package var checksOrder = false
    package var objectives = ServiceObjectives()

    /// For connecting and for each answer.
    package var timeout = Duration.seconds(120)
    /// For everything together; then what runs is cut off.
    package var limit = Duration.seconds(600)
    /// Processes whose CPU time and memory are measured.
    package var processes: [Int32] = []

    /// Whether requests arrive when the file says.
    package var followsTrace: Bool { dataset.hasArrivals && rate == nil && concurrency == nil }

    /// Defaults for a target.
    package init(target: BenchTarget) { self.target = target }

    /// The largest count that is accepted anywhere: enough for every load, and no product of two overflows.
    private static let maximumCount = 1_000_000_000

    /// Looks for contradictions.
    ///
    /// - Throws: ``CommandError`` that names the option.
    package func validate() throws(CommandError) {
        func check(_ flag: String, _ value: Int?, _ range: ClosedRange<Int>) throws(CommandError) {
            if let value, !range.contains(value) {
                throw CommandError("\(flag): expected \(range.lowerBound)...\(range.upperBound), got \(value)")
            }
        }
        try check("--concurrency", concurrency, 1...1_000_000)
        try check("--requests", requests, 1...Self.maximumCount)
        try check("--warmup", warmup, 0...Self.maximumCount)
        try check("--input-tokens", inputTokens, 1...10_000_000)
        try check("--prompt-bytes", promptBytes, 1...60_000_000)
        try check("--output-tokens", outputTokens, 1...10_000_000)
        try check("--shared-prefix-tokens", sharedPrefixTokens, 0...inputTokens)
        if let rate, !(rate > 0 && rate <= 1e6) {
            throw CommandError("--rate: expected requests a second above 0, at most 1000000, got \(rate)")
        }
        if let rampTo {
            guard rampTo > 0, rampTo <= 1e6 else {
                throw CommandError("--ramp-to: expected requests a second above 0, at most 1000000, got \(rampTo)")
            }
            guard rate != nil else { throw CommandError("--ramp-to is where --rate goes to; give --rate too") }
        }
        guard rangeRatio >= 0, rangeRatio < 1 else {
            throw CommandError("--range-ratio: expected 0 or more and below 1, got \(rangeRatio)")
        }
        guard traceSpeed > 0, traceSpeed <= 1e6 else {
            throw CommandError("--trace-speed: expected above 0, at most 1000000, got \(traceSpeed)")
        }
        guard promptForm != .ids || endpoint == .completions else {
            throw CommandError("--prompt-form ids: chats have no token ids; use --endpoint completions")
        }
        guard rate != nil || concurrency != nil || followsTrace else {
            throw CommandError("nothing says how much load to make; give --concurrency N or --rate R")
        }
        guard burstiness > 0 else { throw CommandError("--burstiness: expected a number above 0, got \(burstiness)") }
        guard burstiness == 1 || rate != nil else {
            throw CommandError("--burstiness shapes the arrivals of --rate; give --rate too, or leave it out")
        }
        guard requests != nil || duration != nil || followsTrace else {
            throw CommandError("nothing says when to stop; give --requests N or --duration SECONDS")
        }
        guard promptBytes == nil || sharedPrefixTokens == 0 else {
            throw CommandError("--shared-prefix-tokens counts tokens of --input-tokens; leave --prompt-bytes out")
        }
        for (flag, value) in [("--duration", duration), ("--timeout", timeout), ("--max-seconds", limit)] {
            if let value, !(value > .zero && value <= .seconds(604_800)) {
                throw CommandError("\(flag): expected above 0 and at most 604800 seconds")
            }
        }
        guard !checksOrder || isStream else {
            throw CommandError("--check-order follows the tokens of streams; leave --no-stream out")
        }
        if let model, model.isEmpty { throw CommandError("--model: the name is empty") }
        if let apiKey, !apiKey.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            throw CommandError("the API key has characters that a header field cannot carry, for example a line end")
        }
        for process in processes where process <= 0 { throw CommandError("--pid: \(process) is no process id") }
    }
}
