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
    public func isEligible(_ index: Int) -> Bool { isEligible(meters[index]) }

    @inline(__always)
    private func isEligible(_ meter: BackendMeter) -> Bool {
        meter.isEligible(at: now, despiteHealth: despiteHealth) && (chunks == 0 || meter.budget.hasRoom(chunks))
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
    public func least(
        using generator: inout some RandomNumberGenerator, by cost: (Candidate) -> Double
    ) -> Int? {
        leastMeter(using: &generator) { cost(Candidate(meter: $0, now: now)) }
    }

    // MARK: Without counting references

    /// ``least(using:by:)`` for costs that need no ``Candidate``.
    @inline(__always)
    func leastMeter(
        using generator: inout some RandomNumberGenerator, by cost: (BackendMeter) -> Double
    ) -> Int? {
        var best = -1
        var bestCost = Double.infinity
        forEachEligible(using: &generator) { index, meter in
            let cost = cost(meter)
            if best < 0 || cost < bestCost {
                best = index
                bestCost = cost
            }
        }
        return best < 0 ? nil : best
    }

    /// Calls `body` with eligible backends and their indices: at most ``maximumScan``, beginning at a random one.
    @inline(__always)
    func forEachEligible(
        using generator: inout some RandomNumberGenerator, _ body: (Int, BackendMeter) -> Void
    ) {
        let count = meters.count
        guard count > 0 else { return }
        var next = count == 1 ? 0 : generator.index(below: count)
        var seen = 0
        lend { meters in
            for _ in 0..<count {
                let index = next
                next = index + 1 < count ? index + 1 : 0
                let wasSeen = meters[index]._withUnsafeGuaranteedRef { meter in
                    guard isEligible(meter) else { return false }
                    body(index, meter)
                    return true
                }
                if wasSeen { seen += 1 }
                if seen == Self.maximumScan { break }
            }
        }
    }

    /// The mean of what is known of the first ``maximumScan`` backends; nil where nothing is.
    @inline(__always)
    func mean(_ value: (BackendMeter) -> Double?) -> Double? {
        var sum = 0.0
        var count = 0
        lend { meters in
            for index in 0..<min(meters.count, Self.maximumScan) {
                guard let value = meters[index]._withUnsafeGuaranteedRef({ value($0) }) else { continue }
                sum += value
                count += 1
            }
        }
        return count > 0 ? sum / Double(count) : nil
    }

    /// Lends the meters without a reference count for each: with eight backends that would cost more than the pick. The
    /// candidates own them for as long.
    @inline(__always)
    private func lend(_ body: (UnsafeBufferPointer<Unmanaged<BackendMeter>>) -> Void) {
        meters.withUnsafeBufferPointer { $0.withMemoryRebound(to: Unmanaged<BackendMeter>.self) { body($0) } }
    }
}
