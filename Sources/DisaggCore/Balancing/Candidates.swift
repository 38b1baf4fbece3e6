/// The backends of one role as a policy sees them at one moment. Facts are read when they are asked for.
public struct Candidates: Sendable {
    /// A pick looks at no more backends than this, so that its cost is bounded in large pools; it begins at a random one.
    public static let maximumScan = 64

    package let meters: [BackendMeter]
    /// The moment of the pick, in nanoseconds of a monotonic clock.
    public let now: UInt64
    /// Changes whenever a backend joins or leaves: for tables a policy derives from the membership.
    public let membership: Int
    let excluded: [Int]
    let chunks: Int
    let despiteHealth: Bool

    /// Creates the candidates of a pick.
    ///
    /// - Parameters:
    ///   - meters: the role's backends, by rising serial.
    ///   - excluded: serials of backends that failed this request already.
    ///   - chunks: KV chunks the request needs room for, 0 where it needs none.
    ///   - despiteHealth: whether health is overlooked, as all are down.
    package init(
        _ meters: [BackendMeter], now: UInt64, membership: Int = 0, excluding excluded: [Int] = [], chunks: Int = 0,
        despiteHealth: Bool = false
    ) {
        self.meters = meters
        self.now = now
        self.membership = membership
        self.excluded = excluded
        self.chunks = chunks
        self.despiteHealth = despiteHealth
    }

    /// How many backends there are.
    public var count: Int { meters.count }

    /// Whether the backend at an index, in `0..<count`, may be chosen.
    public func isEligible(_ index: Int) -> Bool {
        let meter = meters[index]
        return meter.isEligible(at: now, despiteHealth: despiteHealth) && meter.budget.hasRoom(chunks)
            && (excluded.isEmpty || !excluded.contains(meter.serial))
    }

    /// The backend at an index in `0..<count`.
    public subscript(index: Int) -> Candidate { Candidate(meter: meters[index], now: now) }

    /// Requests open at all backends of the role.
    public var totalInFlight: Int { meters.first?.roleInFlight ?? 0 }

    /// The index of a backend by its serial number; nil where it is gone.
    public func index(ofSerial serial: Int) -> Int? {
        var low = 0
        var high = meters.count
        while low < high {
            let middle = (low + high) / 2
            if meters[middle].serial < serial { low = middle + 1 } else { high = middle }
        }
        return low < meters.count && meters[low].serial == serial ? low : nil
    }

    /// The eligible backend with the least cost among at most ``maximumScan``, beginning at a random one.
    ///
    /// - Returns: nil where none is eligible.
    @inlinable
    public func least(
        using generator: inout some RandomNumberGenerator, by cost: (Candidate) -> Double
    ) -> Int? {
        guard count > 0 else { return nil }
        let first = count == 1 ? 0 : Int.random(in: 0..<count, using: &generator)
        var best: Int?
        var bestCost = Double.infinity
        var seen = 0
        for step in 0..<count {
            let sum = first + step
            let index = sum < count ? sum : sum - count
            guard isEligible(index) else { continue }
            let cost = cost(self[index])
            if best == nil || cost < bestCost {
                best = index
                bestCost = cost
            }
            seen += 1
            if seen == Self.maximumScan { break }
        }
        return best
    }
}
