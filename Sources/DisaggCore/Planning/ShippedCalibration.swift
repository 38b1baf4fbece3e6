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

    /// Name, requests, mean time to the first token, mean time between the tokens after it where the prompt was all that
    /// was asked for, and median time between late tokens, in ms.
    private static let h200Rows: [(String, Int, first: Double, next: Double?, late: Double?)] = [
        ("eager_prefill_isl128", 3, 46.334, 16.421, nil),
        ("eager_prefill_isl1024", 3, 39.576, 14.545, nil),
        ("eager_prefill_isl4096", 3, 107.764, 15.737, nil),
        ("eager_prefill_isl16000", 3, 492.03, 11.959, nil),
        ("eager_decode_c1_isl512", 1, 52.535, nil, 21.583),
        ("eager_decode_c16_isl512", 16, 224.411, nil, 15.154),
        ("eager_decode_c128_isl512", 128, 1027.754, nil, 18.564),
        ("graph_prefill_isl128", 3, 20.81, 4.254, nil),
        ("graph_prefill_isl1024", 3, 40.491, 3.97, nil),
        ("graph_prefill_isl4096", 3, 110.208, 3.479, nil),
        ("graph_prefill_isl16000", 3, 499.385, 1.2, nil),
        ("graph_decode_c1_isl512", 1, 21.139, nil, 4.862),
        ("graph_decode_c16_isl512", 16, 191.201, nil, 5.206),
        ("graph_decode_c128_isl512", 128, 1022.747, nil, 10.711),
    ]

    private static let h200File: CalibrationFile = {
        var file = CalibrationFile(
            rows: h200Rows.flatMap {
                CalibrationRow.rows(
                    name: $0, count: $1, firstToken: $2, betweenTokens: $4, nextTokens: $3)
            })
        file.source = "two NVIDIA H200, vLLM 0.24.0, Llama-3.1-8B in bfloat16, 2026-11-22"
        file.gpu = "H200"
        file.model = "meta-llama/Llama-3.1-8B-Instruct"
        return file
    }()
}
