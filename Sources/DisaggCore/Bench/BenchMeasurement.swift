/// What a benchmark has measured.
package struct BenchMeasurement: Sendable {
    /// The processes under test.
    package struct Process: Sendable {
        package var cpuSeconds: Double
        package var userSeconds: Double
        package var systemSeconds: Double
        package var peakRSSKiB: Int
        /// Before the load.
        package var basePSSKiB: Int?
        package var peakPSSKiB: Int?
        /// Growth of the PSS for each open request, where most were open. The kernel's socket buffers are not in it.
        package var kibibytesPerRequest: Double?
    }

    package var settings: BenchSettings
    /// The model that was named in the requests.
    package var model: String
    package var tally: BenchTally
    package var process: Process?
    /// CPU time this program took, as a part of one core: near 1 it is the load generator that is measured.
    package var generatorCPUShare = 0.0
    /// The part of the time in which its thread was ready and had no CPU, for others had it.
    package var generatorWaitShare: Double?

    /// Whether the server has confirmed the prompts' lengths, or they are token ids.
    package var hasExactPrompts = false
    /// Answers of a file whose length the server has counted.
    package var countedAnswers = 0
    /// Whether some of the answers that were asked for have an estimated length.
    package var hasEstimatedAnswers: Bool {
        let drawn = min(settings.warmup + tally.started, settings.dataset.items.count)
        return settings.dataset.kind == .sharegpt && countedAnswers < drawn
    }
    /// How prompts were written in the end.
    package var promptForm = PromptForm.words

    package var seconds: Double { Double(tally.nanoseconds) / 1e9 }
    package var requestsPerSecond: Double { rate(tally.succeeded) }
    package var outputTokensPerSecond: Double { rate(tally.outputTokens) }
    /// Prompts and answers.
    package var totalTokensPerSecond: Double { rate(tally.outputTokens + tally.promptTokens) }
    package var goodRequestsPerSecond: Double { rate(tally.good) }

    /// CPU microseconds of the processes under test for each output token.
    package var cpuMicrosecondsPerToken: Double? { perUnit(tally.outputTokens) }
    /// CPU microseconds of the processes under test for each request.
    package var cpuMicrosecondsPerRequest: Double? { perUnit(tally.succeeded) }

    /// The command's exit status: 1 where nothing succeeded, or `--check` found something wrong.
    package var exitStatus: Int32 {
        if tally.succeeded == 0 { return 1 }
        return (settings.checks || settings.checksOrder) && (tally.failed > 0 || tally.cutOff > 0) ? 1 : 0
    }

    private func rate(_ count: Int) -> Double { seconds > 0 ? Double(count) / seconds : 0 }

    private func perUnit(_ count: Int) -> Double? {
        guard let process, count > 0 else { return nil }
        return process.cpuSeconds * 1e6 / Double(count)
    }
}
