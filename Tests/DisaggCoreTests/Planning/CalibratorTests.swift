import Testing

@testable import DisaggCore

@Suite struct CalibratorTests {
    /// The engine plays an H200 with CUDA graphs; what it measures must at least be what the engine waits.
    @Test func aRunningEngineIsMeasured() async throws {
        let engine = SimulatedEngine(configuration: configuration())
        let port = try await engine.start()
        var calibrator = Calibrator(target: try BenchTarget("http://127.0.0.1:\(port)"), gpu: "H200")
        calibrator.promptLengths = [128, 1_024]
        calibrator.batches = [1, 4]
        var steps: [String] = []
        let file = try await calibrator.run { steps.append($0) }
        await engine.shutdown()
        #expect(steps.count == 4)
        #expect(file.rows.count == 4)
        #expect(file.rows.allSatisfy { !$0.isEager && $0.milliseconds > 3 })
        #expect(file.rows.map(\.count) == [4, 4, 1, 4])
        let again = try CalibrationFile(parsing: Array(file.json.utf8), name: "x.json")
        #expect(again.rows.map(\.name) == file.rows.map(\.name))
        let report = try CalibrationReport.text(
            again, engine: EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H200"))
        #expect(report.contains("graph_decode_c4_isl"))
    }

    /// The engine plays a machine whose constants are far from the usual ones. Few measurements over HTTP must be enough to
    /// tell what it takes for lengths, batches and contexts that were not measured, where the general constants are off.
    @Test func aCalibrationTellsWhatWasNotMeasured() async throws {
        let description = EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "A10")
        let general = try description.predictor()
        var constants = general.model.constants
        constants.matrixEfficiency *= 0.65
        constants.layerMicroseconds *= 8
        constants.requestMilliseconds *= 2
        let truth = CostModel(general.setup, constants)
        let directory = try TemporaryDirectory()
        let path = directory.path + "/a10.json"
        let played = CalibrationFile.of(truth, prompts: [64, 256, 1_024, 4_096, 8_000], batches: [1, 4, 16, 64])
        try HostFiles.write(played.json, to: path)
        var engine = description
        engine.calibration = path
        let player = try engine.predictor()
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.timing = SimulatedTiming(player, name: "a slow machine")
        configuration.speed = 1
        let server = SimulatedEngine(configuration: configuration)
        let port = try await server.start()
        var calibrator = Calibrator(target: try BenchTarget("http://127.0.0.1:\(port)"), gpu: "A10")
        calibrator.promptLengths = [128, 2_048]
        calibrator.batches = [1, 8]
        let measured = try await calibrator.run { _ in }
        await server.shutdown()
        try HostFiles.write(measured.json, to: path)
        let found = try engine.predictor()
        for tokens in [512, 1_024, 4_096] {
            let truth = player.model.promptMilliseconds(tokens: tokens)
            #expect(abs(found.model.promptMilliseconds(tokens: tokens) / truth - 1) < 0.1, "\(tokens) tokens")
            #expect(abs(general.model.promptMilliseconds(tokens: tokens) / truth - 1) > 0.2, "\(tokens) tokens")
        }
        for (batch, context) in [(2, 512), (4, 2_000), (16, 600)] {
            let truth = player.model.decodeMilliseconds(batch: batch, context: context)
            #expect(abs(found.model.decodeMilliseconds(batch: batch, context: context) / truth - 1) < 0.1, "\(batch)")
            #expect(
                abs(general.model.decodeMilliseconds(batch: batch, context: context) / truth - 1) > 0.08, "\(batch)")
        }
    }

    @Test func anEngineThatIsNotThereIsAnError() async throws {
        let calibrator = Calibrator(target: try BenchTarget("http://127.0.0.1:9"), gpu: "H200")
        await #expect(throws: CommandError.self) { _ = try await calibrator.run { _ in } }
    }

    private func configuration() -> SimulatedEngineConfiguration {
        var configuration = SimulatedEngineConfiguration(role: .both, handoff: .none)
        configuration.speed = 1
        return configuration
    }
}

extension CalibrationFile {
    /// What a machine with that cost model would measure.
    static func of(_ model: CostModel, prompts: [Int], batches: [Int]) -> CalibrationFile {
        var file = CalibrationFile(rows: [])
        file.rows = prompts.map { tokens in
            CalibrationRow(
                name: "graph_prefill_isl\(tokens)", kind: .prompt(tokens: tokens), isEager: false,
                milliseconds: model.promptMilliseconds(tokens: tokens), count: 4)
        }
        file.rows += batches.map { batch in
            CalibrationRow(
                name: "graph_decode_c\(batch)_isl512", kind: .decode(batch: batch, context: 596), isEager: false,
                milliseconds: model.decodeMilliseconds(batch: batch, context: 596), count: batch)
        }
        return file
    }
}
