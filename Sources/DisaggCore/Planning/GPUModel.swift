/// What a kind of GPU can do, from its data sheet.
///
/// Rates are dense (without sparsity). A roofline multiplies them by the efficiencies of ``CostConstants``.
public struct GPUModel: Sendable, Hashable {
    /// How GPUs of this kind reach each other.
    public enum Fabric: Sendable, Hashable {
        /// Every GPU of a host reaches every other one at full rate (NVSwitch, HGX boards).
        case switched
        /// A bridge joins two neighbours; others go over PCIe.
        case bridgedPairs
        /// PCIe only.
        case pcie
        /// Not even PCIe peer access: copies go through the host's memory (GeForce boards).
        case hostOnly
    }

    /// Generations whose engines differ in what a step costs beside the roofline.
    public enum Family: String, Sendable, Hashable {
        case ampere, ada, hopper, blackwell, cdna
    }

    /// The name used in files and on the command line, for example `H100-SXM`.
    public var name: String
    /// Other names it is found by.
    public var aliases: [String] = []
    /// Its generation.
    public var family: Family
    /// Peak of bfloat16 matrix products, in 10¹² floating-point operations a second.
    public var bfloat16Teraflops: Double
    /// Peak of 8-bit floating-point products; nil where there are none.
    public var float8Teraflops: Double?
    /// `memory.total` of `nvidia-smi`, in MiB.
    public var memoryMiB: Int
    /// What a CUDA program sees of it, in MiB; the driver keeps the rest.
    public var usableMiB: Int
    /// Memory bandwidth, in 10⁹ bytes a second.
    public var memoryGigabytesPerSecond: Double
    /// NVLink bandwidth of one GPU in one direction, in 10⁹ bytes a second; 0 without NVLink.
    public var linkGigabytesPerSecond: Double
    /// PCIe bandwidth in one direction, in 10⁹ bytes a second.
    public var pcieGigabytesPerSecond: Double
    /// How neighbours are joined.
    public var fabric: Fabric
    /// What one hour is assumed to cost where the user gives no price, in US dollars: a rough rental price.
    public var dollarsPerHour: Double
    /// Beginning of the name that `nvidia-smi` prints, in lower case.
    var reportedNames: [String] = []

    /// `memory.total`, in bytes.
    public var memoryBytes: Int { memoryMiB << 20 }

    /// What a CUDA program sees, in bytes.
    public var usableBytes: Int { usableMiB << 20 }
}
