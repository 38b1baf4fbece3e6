/// An engine as the command line and files describe it, before names are looked up.
package struct EngineDescription: Sendable {
    /// A model's name, or the path of a `config.json`.
    package var model: String
    /// A GPU's name.
    package var gpu: String
    /// Ranks.
    package var tensorParallel = 1
    /// Whether CUDA graphs are off.
    package var isEager = false
    /// `auto`, `bfloat16`, `float16`, `fp8`, `int8` or `int4`.
    package var dataType = "auto"
    /// `auto` or `fp8`.
    package var kvDataType = "auto"
    /// A calibration file's path; nil for the shipped one, where there is one for the GPU.
    package var calibration: String?

    /// Describes a model on a GPU.
    package init(model: String, gpu: String) {
        self.model = model
        self.gpu = gpu
    }

    private static let maximumFileBytes = 16 << 20

    /// Looks everything up.
    ///
    /// - Throws: ``CommandError`` for an unknown model, GPU, data type or file, or a rank count that vLLM refuses.
    package func predictor() throws(CommandError) -> Predictor {
        let gpuModel = try GPUCatalog.named(gpu)
        var shape = try shape()
        switch dataType {
        case "auto": break
        case "bfloat16", "bf16", "float16", "fp16", "half":
            shape.quantizedBits = nil
            shape.quantization = nil
        case "fp8", "int8":
            shape.quantizedBits = 8
            shape.quantization = dataType
        case "int4", "awq", "gptq", "fp4":
            shape.quantizedBits = 4
            shape.quantization = dataType
        default:
            throw CommandError("--dtype: expected auto, bfloat16, float16, fp8, int8 or int4, got \"\(dataType)\"")
        }
        guard (1...64).contains(tensorParallel) else {
            throw CommandError("--tensor-parallel: expected 1...64, got \(tensorParallel)")
        }
        guard shape.attentionHeads % tensorParallel == 0 else {
            throw CommandError(
                "--tensor-parallel \(tensorParallel) does not divide the model's \(shape.attentionHeads) attention heads, "
                    + "which vLLM refuses")
        }
        var setup = EngineSetup(shape: shape, gpu: gpuModel, tensorParallel: tensorParallel, isEager: isEager)
        switch kvDataType {
        case "auto": break
        case "fp8": setup.kvValueBytes = 1
        default: throw CommandError("--kv-cache-dtype: expected auto or fp8, got \"\(kvDataType)\"")
        }
        return Predictor(setup, calibration: try calibrationFile(gpu: gpuModel, shape: shape))
    }

    /// The model's shape.
    package func shape() throws(CommandError) -> ModelShape {
        if model.hasSuffix(".json") || model.hasPrefix("/") || model.hasPrefix(".") || ConfigFile.exists(model) {
            do throws(ModelConfigurationFile.Failure) {
                return try ModelConfigurationFile.read(model)
            } catch {
                throw CommandError(error.description)
            }
        }
        guard let shape = ModelCatalog.named(model) else {
            throw CommandError(
                "the model \"\(model)\" is not in the table; give the path of its config.json, which the model's page on "
                    + "Hugging Face has")
        }
        return shape
    }

    private func calibrationFile(gpu: GPUModel, shape: ModelShape) throws(CommandError) -> Calibration? {
        guard let calibration else { return ShippedCalibration.named(gpu: gpu) }
        let text: String
        do throws(ConfigFile.Failure) {
            text = try ConfigFile.text(calibration, limit: Self.maximumFileBytes)
        } catch {
            throw CommandError("\(calibration) \(error)")
        }
        let file = try CalibrationFile(parsing: Array(text.utf8), name: calibration)
        if let name = file.gpu, try GPUCatalog.named(name).name != gpu.name {
            throw CommandError(
                "\(calibration) was measured on \(name), not on \(gpu.name); calibrate on the GPU you plan for")
        }
        var measured = shape
        if let name = file.model, let known = ModelCatalog.named(name) { measured = known }
        return Calibration(file, shape: measured, gpu: gpu)
    }
}
