import DisaggCore
import Testing

@Suite struct CalibrationTests {
    @Test func theShippedConstantsMeetTheirRows() throws {
        let calibration = try #require(ShippedCalibration.h200Llama8B)
        let counted = calibration.residuals.filter { !$0.row.name.hasSuffix(")") }
        #expect(counted.count == 14)
        let mean = counted.reduce(0) { $0 + abs($1.fitError) } / Double(counted.count)
        #expect(mean < 0.06, "mean error \(mean)")
        // One row contradicts the others: with one request, eager steps took 21.6 ms; with sixteen, 15.2 ms.
        for residual in counted where residual.row.name != "eager_decode_c1_isl512" {
            #expect(abs(residual.fitError) < 0.15, "\(residual.row.name) \(residual.fitError)")
        }
    }

    @Test func rowsThatWereLeftOutAreMetNearlyAsWell() throws {
        let calibration = try #require(ShippedCalibration.h200Llama8B)
        #expect(calibration.meanLeftOutError < 0.09, "\(calibration.meanLeftOutError)")
        // Two rows stand alone: the host launched their steps in its slow phase.
        let slow = ["eager_prefill_isl128", "eager_decode_c1_isl512"]
        for residual in calibration.residuals
        where !residual.row.name.hasSuffix(")") && !slow.contains(residual.row.name) {
            #expect(abs(residual.leftOutError) < 0.15, "\(residual.row.name) \(residual.leftOutError)")
        }
    }

    @Test func theFittedEfficienciesAreThoseOfRealKernels() throws {
        let constants = try #require(ShippedCalibration.h200Llama8B).constants
        #expect((0.6...0.9).contains(constants.matrixEfficiency))
        #expect((0.6...0.95).contains(constants.weightEfficiency))
        #expect((0.3...0.75).contains(constants.attentionEfficiency))
        #expect((0.65...0.9).contains(constants.kvEfficiency))
    }

    @Test func aModelsOwnTimesGiveBackItsConstants() throws {
        let shipped = try #require(ShippedCalibration.h200Llama8B)
        var file = shipped.file
        var setup = shipped.setup
        file.rows = file.rows.map { row in
            var row = row
            setup.isEager = row.isEager
            row.milliseconds = row.predicted(by: CostModel(setup, shipped.constants))
            return row
        }
        let again = Calibration(file, shape: shipped.setup.shape, gpu: shipped.setup.gpu)
        // What is little trusted is drawn to what is usual.
        for residual in again.residuals { #expect(abs(residual.fitError) < 0.05, "\(residual.row.name)") }
    }

    @Test func aFileSurvivesWritingAndReading() throws {
        let file = try #require(ShippedCalibration.h200Llama8B).file
        let again = try CalibrationFile(parsing: Array(file.json.utf8), name: "x.json")
        #expect(again == file)
    }

    @Test func otherMembersOfAFileAreIgnored() throws {
        let file = try CalibrationFile(
            parsing: Array(
                """
                {"source": "s", "rows": [
                 {"name": "lmcache_2000_100_r4", "n": 40, "ttft_mean": 59.4},
                 {"name": "graph_decode_c16_isl512", "n": 16, "ttft_mean": 191.2, "itl_p50": 5.3, "itl_late": 5.2}]}
                """.utf8), name: "x.json")
        #expect(file.rows.map(\.milliseconds) == [5.2])
        #expect(file.rows[0].kind == .decode(batch: 16, context: 596))
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"rows": []}"#, #"{"rows": [{"name": "eager_prefill_isl0", "ttft_mean": 1}]}"#,
        #"{"rows": [{"name": "eager_prefill_isl9", "ttft_mean": -1}]}"#,
    ])
    func aFileWithoutMeasurementsIsRefused(text: String) {
        #expect { try CalibrationFile(parsing: Array(text.utf8), name: "x.json") } throws: {
            "\($0)".hasPrefix("x.json: ")
        }
    }

    @Test func aPredictionNamesItsBasisAndRange() throws {
        let prediction = try PlanningFixture.h200(eager: true).prompt(tokens: 7_500)
        #expect(prediction.low < prediction.value && prediction.value < prediction.high)
        #expect(prediction.basis.contains("calibrated on 19 measurements"))
        let general = try EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H100").predictor().prompt(
            tokens: 7_500)
        #expect(general.basis.contains("not calibrated on this GPU"))
    }
}
