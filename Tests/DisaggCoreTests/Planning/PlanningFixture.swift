import DisaggCore

/// Files of `Tests/Fixtures` that planner tests read.
enum PlanningFixture {
    static func text(_ path: String) throws -> String {
        try ConfigFile.text("\(LaunchScene.root)/Tests/Fixtures/\(path)", limit: 16 << 20)
    }

    static func host(_ topology: String, _ model: String = "NVIDIA H100 80GB HBM3", memoryMiB: Int = 81_559) throws
        -> GPUHost
    {
        let matrix = try TopologyMatrix(parsing: try text("nvidia-smi/\(topology)"))
        let devices = matrix.indices.map {
            GPUDevice(index: $0, uuid: "GPU-\($0)aaa", name: model, memoryMiB: memoryMiB)
        }
        return try GPUHost(name: topology, devices: devices, topology: matrix)
    }

    static func h200(eager: Bool, tensorParallel: Int = 1) throws -> Predictor {
        var description = EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H200")
        description.isEager = eager
        description.tensorParallel = tensorParallel
        return try description.predictor()
    }
}
