/// One GPU of a host, as `nvidia-smi` reports it.
public struct GPUDevice: Sendable, Hashable {
    /// Its number in `nvidia-smi`, which is the PCI bus order.
    public var index: Int
    /// Its UUID (`GPU-…`), which `CUDA_VISIBLE_DEVICES` takes as well; nil where unknown.
    public var uuid: String?
    /// The name the driver reports.
    public var name: String
    /// `memory.total`, in MiB.
    public var memoryMiB: Int
    /// `memory.used`, in MiB.
    public var usedMiB = 0
    /// Whether it is split into MIG devices.
    public var isPartitioned = false
    /// Processes that compute on it.
    public var processes: [Process] = []

    /// A process that computes on a GPU.
    public struct Process: Sendable, Hashable {
        /// Process id.
        public var id: Int
        /// Memory it holds, in MiB; nil where the driver does not say.
        public var usedMiB: Int?
        /// Its program.
        public var name: String
    }

    /// Creates a device.
    public init(index: Int, uuid: String? = nil, name: String, memoryMiB: Int) {
        self.index = index
        self.uuid = uuid
        self.name = name
        self.memoryMiB = memoryMiB
    }

    /// Its data sheet; nil for a GPU that is not in the table.
    public var model: GPUModel? { GPUCatalog.reported(name: name, memoryMiB: memoryMiB) }

    /// Memory that may be in use without anybody working: the driver's own, a display's.
    public static let idleMiB = 1024

    /// Why no engine should be put on it; nil where it is free.
    public var unavailability: String? {
        if isPartitioned { return "GPU \(index) is split into MIG devices; engines need whole GPUs" }
        if let process = processes.first {
            let memory = process.usedMiB.map { " with \($0) MiB" } ?? ""
            return "GPU \(index) runs process \(process.id) (\(process.name))\(memory)"
        }
        if usedMiB > Self.idleMiB { return "GPU \(index) has \(usedMiB) of \(memoryMiB) MiB in use" }
        return nil
    }
}
