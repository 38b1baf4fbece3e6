import DisaggCore
import Testing

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
