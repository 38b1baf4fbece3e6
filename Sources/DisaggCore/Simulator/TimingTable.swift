/// How long an engine's steps take, interpolated between measured points.
///
/// Measured 2026-11-22 on one NVIDIA H200 with vLLM 0.24.0, Llama-3.1-8B shape in bf16, no prefix caching, CUDA graphs
/// or `--enforce-eager` (`calibration/h200-llama-3.1-8b.json`): prefill is the mean time to first token of one request
/// alone, decode the median gap between late tokens (`itl_late`) with that many requests running.
package struct TimingTable: Sendable, Hashable {
    /// One measured point.
    package struct Point: Sendable, Hashable {
        /// Prompt tokens, or requests running.
        package var amount: Double
        package var milliseconds: Double

        package init(_ amount: Double, _ milliseconds: Double) {
            self.amount = amount
            self.milliseconds = milliseconds
        }
    }

    /// The table's name: GPU, model and mode.
    package var name: String
    /// Prefill time by prompt tokens, rising.
    package var prefill: [Point]
    /// Step time by requests running, rising.
    package var decode: [Point]
    /// Time to load received KV, in ms for each 1,000 tokens: 3.4 ms for 7,500 (Docs/EngineFacts.md row 15).
    package var loadMillisecondsPerThousandTokens = 0.45
    /// Prompt tokens one step can take (`max_num_batched_tokens`).
    package var stepTokens = 8_192

    /// H200, Llama-3.1-8B, CUDA graphs: rows `graph_prefill_*` and `graph_decode_*`.
    package static let h200Llama8B = TimingTable(
        name: "h200-llama-3.1-8b",
        prefill: [.init(128, 20.810), .init(1024, 40.491), .init(4096, 110.208), .init(16000, 499.385)],
        decode: [.init(1, 4.862), .init(16, 5.206), .init(128, 10.711)])

    /// The same with `--enforce-eager`: rows `eager_prefill_*` and `eager_decode_*`.
    ///
    /// The measured 128-token prefill (46.3 ms) and single decode (21.6 ms) lie above the larger ones, as launch
    /// overhead dominates both; the table keeps them rising by using the larger rows' value.
    package static let h200Llama8BEager = TimingTable(
        name: "h200-llama-3.1-8b-eager",
        prefill: [.init(1024, 39.576), .init(4096, 107.764), .init(16000, 492.030)],
        decode: [.init(16, 15.154), .init(128, 18.564)])

    /// Every step takes the same time, whatever it computes: a steady load for measuring what stands in front of engines.
    package static func constant(milliseconds: Double) -> TimingTable {
        var table = TimingTable(name: "constant", prefill: [.init(1, 0)], decode: [.init(1, milliseconds)])
        table.loadMillisecondsPerThousandTokens = 0
        return table
    }

    /// Every table by name.
    package static let all = [h200Llama8B, h200Llama8BEager]

    /// Milliseconds to compute a prompt's tokens `from..<to`, the rest of it being computed already.
    package func prefillMilliseconds(from: Int, to: Int) -> Double {
        let end = Self.interpolate(prefill, Double(to))
        return from <= 0 ? end : max(0, end - Self.interpolate(prefill, Double(from)))
    }

    /// Milliseconds of one step that gives each of `running` requests a token.
    package func decodeMilliseconds(running: Int) -> Double {
        running <= 0 ? 0 : Self.interpolate(decode, Double(running))
    }

    /// Below the first point its value, above the last point along the last line.
    private static func interpolate(_ points: [Point], _ amount: Double) -> Double {
        guard let first = points.first else { return 0 }
        guard amount > first.amount, points.count > 1 else { return first.milliseconds }
        var low = first
        for high in points.dropFirst() {
            if amount <= high.amount || high == points.last {
                let slope = (high.milliseconds - low.milliseconds) / (high.amount - low.amount)
                return low.milliseconds + slope * (amount - low.amount)
            }
            low = high
        }
        return low.milliseconds
    }
}
