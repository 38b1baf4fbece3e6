import ArgumentParser
import DisaggCore

/// The engine that `predict` and `plan` are asked about.
struct EngineOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A model's name, or the path of its config.json.", valueName: "name|config.json"))
    var model: String
    @Option(help: "GPUs that share each layer.") var tensorParallel = 1
    @Flag(help: "Engines run with --enforce-eager, without CUDA graphs.") var eager = false
    @Option(help: "Weights: auto (as the model's name or file says), bfloat16, float16, fp8, int8 or int4.")
    var dtype = "auto"
    @Option(help: "KV cache: auto or fp8.") var kvCacheDtype = "auto"
    @Option(
        help: ArgumentHelp(
            "Measurements of disagg-launch calibrate. Default: the shipped ones, where there are any for the GPU.",
            valueName: "file"))
    var calibration: String?

    func description(gpu: String) -> EngineDescription {
        var description = EngineDescription(model: model, gpu: gpu)
        description.tensorParallel = tensorParallel
        description.isEager = eager
        description.dataType = dtype
        description.kvDataType = kvCacheDtype
        description.calibration = calibration
        return description
    }
}
