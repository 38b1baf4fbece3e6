import ArgumentParser
import DisaggCore

/// `disagg-launch calibrate`: measures a running engine for `plan` and `predict`.
struct CalibrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calibrate", abstract: "Measure a running engine in a minute, for plan and predict.",
        discussion: """
            Sends an idle engine a few prompts of different lengths and a few batches of answers, writes the times to a \
            file, and shows how well the cost model meets them. Use the file with --calibration of plan and predict. The \
            engine must serve nobody else meanwhile, and should run with --no-enable-prefix-caching.

            EXAMPLES:
              disagg-launch calibrate http://127.0.0.1:8100 --gpu H100 --output h100.json
              disagg-launch predict --model meta-llama/Llama-3.1-8B --gpu H100 --calibration h100.json \\
                --prefill-tokens 7500

            EXIT STATUS: 0 measured; 1 the engine did not answer; 2 wrong arguments.
            """)

    @Argument(help: ArgumentHelp("The engine: http://HOST:PORT.", valueName: "url")) var url: String
    @Option(help: "The GPU it runs on: H100, H200, A100-80GB, L40S, …") var gpu: String
    @Option(
        help: ArgumentHelp(
            "The model's name, or the path of its config.json, where the engine's own name is not in the table.",
            valueName: "name|config.json"))
    var model: String?
    @Option(help: "GPUs of the engine. (default: 1)", transform: number(1...64)) var tensorParallel = 1
    @Flag(help: "The engine runs with --enforce-eager.") var eager = false
    @Option(help: "Lengths of the prompts, separated by commas.", transform: counts) var promptLengths: [Int]?
    @Option(help: "Numbers of answers at once, separated by commas.", transform: counts) var batches: [Int]?
    @Option(help: "Environment variable that holds the API key.") var apiKeyEnv: String?
    @Option(help: "Write the measurements here. Default: standard output.") var output: String?

    func run() async throws {
        var calibrator = Calibrator(target: try BenchTarget(url), gpu: try GPUCatalog.named(gpu).name)
        calibrator.isEager = eager
        calibrator.tensorParallel = tensorParallel
        if let promptLengths { calibrator.promptLengths = promptLengths }
        if let batches { calibrator.batches = batches }
        calibrator.apiKey = apiKeyEnv.flatMap(ExecutableSearch.variable)
        // What cannot be written is better known before the measurement than after it.
        if let output { try HostFiles.checkWritable(output) }
        var file = try await calibrator.run { Terminal.writeError("measuring \($0)\n") }
        file.source = "\(url), disagg-launch \(DisaggVersion.current)"
        var engine = EngineDescription(model: model ?? file.model ?? "", gpu: gpu)
        engine.tensorParallel = tensorParallel
        if let output { try HostFiles.write(file.json, to: output) } else { Terminal.write(file.json) }
        let summary = try CalibrationReport.text(file, engine: engine)
        if output == nil { Terminal.writeError(summary) } else { Terminal.write(summary) }
    }
}

/// Reads numbers from 1 to 100000, separated by commas.
private let counts = reading("numbers from 1 to 100000, separated by commas") { text -> [Int]? in
    let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    let known = values.compactMap { $0 }.filter { (1...100_000).contains($0) }
    return known.isEmpty || known.count < values.count ? nil : known
}
