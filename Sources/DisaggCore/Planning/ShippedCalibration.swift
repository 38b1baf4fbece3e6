/// Calibrations that come with the program.
public enum ShippedCalibration {
    /// NVIDIA H200, Llama-3.1-8B, vLLM 0.24.0, CUDA graphs and eager.
    ///
    /// The constants are not written down: they are fitted to these rows when they are first needed, which takes some
    /// milliseconds, so they cannot drift from the measurements.
    public static let h200Llama8B: Calibration? = {
        guard let shape = ModelCatalog.named("meta-llama/Llama-3.1-8B"),
            let gpu = GPUCatalog.all.first(where: { $0.name == "H200" })
        else { return nil }
        return Calibration(h200File, shape: shape, gpu: gpu)
    }()

    /// The calibration for a GPU, nil where none is shipped.
    public static func named(gpu: GPUModel) -> Calibration? { gpu.name == "H200" ? h200Llama8B : nil }

    /// Name, requests, mean time to the first token, and median time between tokens, in ms: of those late in an answer, or
    /// of all where the prompt was all that was asked for.
    private static let h200Rows: [(String, Int, first: Double, between: Double)] = [
        ("eager_prefill_isl128", 3, 46.334, 21.012),
        ("eager_prefill_isl1024", 3, 39.576, 14.444),
        ("eager_prefill_isl4096", 3, 107.764, 19.707),
        ("eager_prefill_isl16000", 3, 492.03, 12.714),
        ("eager_decode_c1_isl512", 1, 52.535, 21.583),
        ("eager_decode_c16_isl512", 16, 224.411, 15.154),
        ("eager_decode_c128_isl512", 128, 1027.754, 18.564),
        ("graph_prefill_isl128", 3, 20.81, 4.79),
        ("graph_prefill_isl1024", 3, 40.491, 4.861),
        ("graph_prefill_isl4096", 3, 110.208, 4.112),
        ("graph_prefill_isl16000", 3, 499.385, 1.054),
        ("graph_decode_c1_isl512", 1, 21.139, 4.862),
        ("graph_decode_c16_isl512", 16, 191.201, 5.206),
        ("graph_decode_c128_isl512", 128, 1022.747, 10.711),
    ]

    private static let h200File: CalibrationFile = {
        var file = CalibrationFile(
            rows: h200Rows.flatMap {
                CalibrationRow.rows(
                    name: $0, count: $1, firstToken: $2, betweenTokens: $3)
            })
        file.source = "two NVIDIA H200, vLLM 0.24.0, Llama-3.1-8B in bfloat16, 2026-11-22"
        file.gpu = "H200"
        file.model = "meta-llama/Llama-3.1-8B-Instruct"
        return file
    }()
}
