/// What the checks want to know of this machine; nil and empty where it is not known, and such rules are left out.
///
/// ``MachineProbe`` fills it; tests give their own.
package struct MachineFacts: Sendable {
    /// The GPUs and their links; nil where `nvidia-smi` is missing or fails.
    package var host: GPUHost?
    /// CUDA version that the driver supports.
    package var driverCUDA: LMCacheVersion?
    /// The Python environment beside the engine's program.
    package var python = PythonEnvironment()
    /// The engine's program, nil where it is not on the PATH.
    package var engineProgram: String?
    /// Whether the proxy's program is there.
    package var hasProxy = true
    /// Ports that are taken: the claim and who holds it.
    package var takenPorts: [(claim: PortClaim, message: String)] = []
    /// Whether a Hugging Face token is set.
    package var hasToken = false
    /// Whether the model's weights are in the hub's cache; nil where the model is a folder.
    package var isCached: Bool?
    /// Names in the model's folder; nil where the model is no folder's path.
    package var modelFolder: [String]?
    /// Free bytes on the disk of the hub's cache.
    package var cacheFreeBytes: Int?
    /// Soft limit of open files.
    package var openFiles: Int?
    /// Soft limit of locked memory, in bytes; `Int.max` for none.
    package var lockedBytes: Int?
    /// Size of /dev/shm.
    package var sharedMemoryBytes: Int?
    /// Host memory that is available.
    package var availableBytes: Int?
    /// `TMPDIR`.
    package var temporaryPath = "/tmp"
    /// Host names without an IPv4 address.
    package var unresolvedHosts: [String] = []

    /// Nothing known.
    package init() {}
}
