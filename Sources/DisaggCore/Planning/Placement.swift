/// Which GPUs each engine gets.
public struct Placement: Sendable, Hashable {
    /// One engine to place.
    public struct Engine: Sendable, Hashable {
        /// Its role.
        public var role: BackendRole
        /// Its number among the engines of its role.
        public var replica: Int
        /// GPUs it needs: tensor-parallel times pipeline-parallel size.
        public var size: Int

        /// Describes an engine.
        public init(role: BackendRole, replica: Int, size: Int) {
            self.role = role
            self.replica = replica
            self.size = size
        }
    }

    /// One engine's place.
    public struct Seat: Sendable, Hashable {
        /// The engine.
        public var engine: Engine
        /// Position of its host.
        public var host: Int
        /// Positions of its GPUs on that host, in rank order.
        public var positions: [Int]
    }

    /// Every engine's place, in the order of the request.
    public var seats: [Seat]
    /// The objective's value: lower is better.
    public var cost: Double

    /// Value of `CUDA_VISIBLE_DEVICES` for one seat.
    ///
    /// Indices are those of `nvidia-smi`, so the engine also needs `CUDA_DEVICE_ORDER=PCI_BUS_ID`; UUIDs need nothing.
    public static func visibleDevices(_ seat: Seat, on hosts: [GPUHost], uuids: Bool = false) -> String {
        guard hosts.indices.contains(seat.host) else { return "" }
        let devices = hosts[seat.host].devices
        return seat.positions.filter(devices.indices.contains).map { position in
            let device = devices[position]
            return uuids ? device.uuid ?? "\(device.index)" : "\(device.index)"
        }.joined(separator: ",")
    }

    /// The `numactl` arguments that keep one engine near its GPUs; nil where they are at several NUMA nodes or unknown.
    public static func binding(_ seat: Seat, on hosts: [GPUHost]) -> String? {
        guard hosts.indices.contains(seat.host), let node = hosts[seat.host].node(of: seat.positions) else {
            return nil
        }
        return "--cpunodebind=\(node) --membind=\(node)"
    }
}
