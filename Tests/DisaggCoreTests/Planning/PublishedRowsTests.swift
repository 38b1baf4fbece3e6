import DisaggCore
import Testing

/// What others measured, beside what the general constants predict.
@Suite struct PublishedRowsTests {
    private func meanError(_ rows: [PublishedRows.Row]) -> Double {
        let counted = rows.filter { $0.exclusion == nil }
        return counted.reduce(0) { $0 + abs($1.error) } / Double(max(1, counted.count))
    }

    @Test func timesBetweenTokensOfVLLMAreMet() throws {
        let rows = try PublishedRows.closedLoop()
        for (model, limit) in [("meta-llama/Llama-3.1-70B fp8", 0.08), ("Qwen/Qwen3-32B bfloat16", 0.10)] {
            let own = rows.filter { $0.model == model }.map(\.row)
            #expect(own.count >= 45)
            let mean = meanError(own)
            #expect(mean <= limit, "\(model): \(mean)")
        }
    }

    @Test func timesToTheFirstTokenOfMooncakeAreMet() throws {
        let (first, transfer) = try PublishedRows.mooncake()
        for row in first { #expect(abs(row.error) <= 0.20, "\(row.name): \(row.predicted) for \(row.measured)") }
        for row in transfer { #expect(abs(row.error) <= 0.10, "\(row.name): \(row.predicted) for \(row.measured)") }
    }

    @Test func wholeRunsOnTheCalibrationsMachineAreMet() throws {
        let rows = try PublishedRows.pairRuns()
        #expect(rows.count == 6)
        for row in rows { #expect(abs(row.error) <= 0.08, "\(row.name): \(row.predicted) for \(row.measured)") }
    }

    @Test func lmcachesPublishedRunsAreMet() throws {
        for row in try PublishedRows.lmcache() {
            #expect(abs(row.error) <= 0.15, "\(row.name): \(row.predicted) for \(row.measured)")
        }
    }

    @Test func theCapacitiesOfDistServesEngineAreMet() throws {
        let rows = try PublishedRows.distServeCapacity()
        #expect(rows.count == 76)
        #expect(meanError(rows) <= 0.012)
        for row in rows { #expect(abs(row.error) <= 0.04, "\(row.name): \(row.predicted) for \(row.measured)") }
    }
}
