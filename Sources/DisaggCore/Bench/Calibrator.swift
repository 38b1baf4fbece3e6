/// Measures a running engine for the planner: a few prompts alone, and a few batches of answers.
package struct Calibrator: Sendable {
    /// The engine.
    package var target: BenchTarget
    /// The model it serves; nil asks it.
    package var model: String?
    /// What `authorization` carries as a bearer token.
    package var apiKey: String?
    /// Whether it runs with `--enforce-eager`.
    package var isEager = false
    /// Ranks of the engine.
    package var tensorParallel = 1
    /// The GPU's name in the planner's table.
    package var gpu: String
    /// Lengths of the prompts, rising; those that the engine refuses end the list.
    package var promptLengths = [128, 1_024, 4_096, 16_000]
    /// Requests running at once.
    package var batches = [1, 16, 64]

    /// Prompts of one length that count, after one that does not.
    private static let repeats = 4
    private static let batchInput = 512
    private static let batchOutput = 96

    /// Creates a calibrator.
    package init(target: BenchTarget, gpu: String) {
        self.target = target
        self.gpu = gpu
    }

    /// Measures; takes about a minute on a real engine.
    ///
    /// - Parameter progress: called with what is measured next.
    /// - Throws: ``CommandError`` where the engine does not answer.
    package func run(progress: (String) -> Void) async throws(CommandError) -> CalibrationFile {
        var file = CalibrationFile(rows: [])
        file.gpu = gpu
        file.tensorParallel = tensorParallel
        let mode = isEager ? "eager" : "graph"
        for length in promptLengths {
            progress("prompts of \(length) tokens")
            var settings = settings(input: length, output: 4, concurrency: 1, requests: Self.repeats)
            settings.warmup = 1
            let measurement = try await Benchmark(settings).run()
            guard measurement.tally.succeeded > 0, let time = measurement.tally.ttft.mean else {
                // A prompt longer than the engine takes is no failure once shorter ones were measured.
                guard file.rows.isEmpty else { break }
                throw failure(measurement)
            }
            file.model = measurement.model
            let tokens = counted(measurement, or: length)
            file.rows += CalibrationRow.rows(
                name: "\(mode)_prefill_isl\(tokens)", count: measurement.tally.succeeded, firstToken: time / 1e6,
                betweenTokens: measurement.tally.itl.percentile(50).map { Double($0) / 1e6 })
        }
        for batch in batches {
            progress("\(batch) answers at once")
            let settings = settings(
                input: Self.batchInput, output: Self.batchOutput, concurrency: batch, requests: batch)
            let measurement = try await Benchmark(settings).run()
            guard measurement.tally.succeeded > 0, let gap = measurement.tally.itl.percentile(50) else {
                throw failure(measurement)
            }
            let tokens = counted(measurement, or: Self.batchInput)
            file.rows += CalibrationRow.rows(
                name: "\(mode)_decode_c\(batch)_isl\(tokens)", count: batch, firstToken: nil,
                betweenTokens: Double(gap) / 1e6)
        }
        return file
    }

    private func settings(input: Int, output: Int, concurrency: Int, requests: Int) -> BenchSettings {
        var settings = BenchSettings(target: target)
        settings.model = model
        settings.apiKey = apiKey
        settings.inputTokens = input
        settings.outputTokens = output
        settings.concurrency = concurrency
        settings.requests = requests
        return settings
    }

    /// Prompt tokens as the engine counted them: a word is not always one token.
    private func counted(_ measurement: BenchMeasurement, or length: Int) -> Int {
        let tally = measurement.tally
        return tally.promptTokens > 0 ? max(1, tally.promptTokens / max(1, tally.succeeded)) : length
    }

    private func failure(_ measurement: BenchMeasurement) -> CommandError {
        let example = measurement.tally.examples.sorted { $0.key < $1.key }.first
        return CommandError(
            "\(target) answered nothing: \(example.map { "\($0.key.description): \($0.value)" } ?? "no answer")",
            exitStatus: 1)
    }
}
