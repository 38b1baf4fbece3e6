/// How two GPUs of a host are joined, as `nvidia-smi topo -m` names it.
public enum GPULink: Sendable, Hashable {
    /// That many bonded NVLinks (`NV18`).
    case nvlink(Int)
    /// One PCIe bridge (`PIX`).
    case samePCIeBridge
    /// Several PCIe bridges, no host bridge (`PXB`).
    case severalPCIeBridges
    /// A PCIe host bridge, typically the CPU (`PHB`).
    case hostBridge
    /// Host bridges of one NUMA node (`NODE`).
    case sameNode
    /// The link between CPU sockets (`SYS`).
    case betweenSockets

    /// Reads one cell of the matrix; nil for `X`, numbers and other text.
    public init?(_ text: some StringProtocol) {
        switch text {
        case "PIX": self = .samePCIeBridge
        case "PXB": self = .severalPCIeBridges
        case "PHB": self = .hostBridge
        case "NODE": self = .sameNode
        case "SYS": self = .betweenSockets
        default:
            guard text.hasPrefix("NV"), let count = Int(text.dropFirst(2)), (1...1000).contains(count) else {
                return nil
            }
            self = .nvlink(count)
        }
    }

    /// The cell's text.
    public var name: String {
        switch self {
        case .nvlink(let count): "NV\(count)"
        case .samePCIeBridge: "PIX"
        case .severalPCIeBridges: "PXB"
        case .hostBridge: "PHB"
        case .sameNode: "NODE"
        case .betweenSockets: "SYS"
        }
    }

    /// Whether it is NVLink.
    public var isNVLink: Bool {
        if case .nvlink = self { true } else { false }
    }

    /// About what it carries in one direction, in 10⁹ bytes a second.
    ///
    /// One NVLink carries 25 GB/s a direction since Volta. PCIe gives the board's own rate behind one bridge; each
    /// further hop costs, and the link between sockets most. The ratios are rules of thumb, only their order decides.
    public func gigabytesPerSecond(pcie: Double) -> Double {
        switch self {
        case .nvlink(let count): 25 * Double(count)
        case .samePCIeBridge: 0.8 * pcie
        case .severalPCIeBridges: 0.75 * pcie
        case .hostBridge: 0.6 * pcie
        case .sameNode: 0.5 * pcie
        case .betweenSockets: 0.35 * pcie
        }
    }
}
