internal import NIOConcurrencyHelpers

/// Requests of one session go to one backend, by consistent hashing with bounded load.
///
/// The session's backend is passed over, clockwise on the ring, while its load is above the mean times ``loadFactor``: a
/// session that is hot does not sink its backend, and the next ones on the ring are always the same. Source: Mirrokni,
/// Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018. Requests without a session go to the least
/// loaded backend.
public final class SessionPolicy: LoadBalancingPolicy {
    /// `session`
    public let name = "session"
    /// The session's key.
    public let needs: FactSet = .sessionKey
    /// How far above the mean a backend's load may be, more than 1.
    public let loadFactor: Double

    private struct Table {
        var membership: Int?
        var ring = HashRing(serials: [])
    }
    private let table = NIOLockedValueBox(Table())

    /// Creates the policy.
    public init(loadFactor: Double = 1.25) { self.loadFactor = max(1.01, loadFactor) }

    /// Chooses a backend; logarithmic in the number of backends, and a rebuilt ring after they changed.
    public func pick(
        from candidates: Candidates, for request: RequestFacts, using generator: inout some RandomNumberGenerator
    ) -> Int? {
        guard candidates.count > 0 else { return nil }
        guard let key = request.sessionKey else {
            return candidates.leastMeter(using: &generator) { $0.load(at: candidates.now) }
        }
        let ring = ring(of: candidates)
        let mean = Double(candidates.totalInFlight + 1) / Double(candidates.count)
        let bound = (mean * loadFactor).rounded(.up)
        let chosen = ring.first(at: key) { index in
            index < candidates.count && candidates.isEligible(index) && candidates[index].load <= bound
        }
        return chosen ?? candidates.leastMeter(using: &generator) { $0.load(at: candidates.now) }
    }

    private func ring(of candidates: Candidates) -> HashRing {
        table.withLockedValue { table in
            if table.membership != candidates.membership {
                table.ring = HashRing(serials: candidates.meters.map(\.serial))
                table.membership = candidates.membership
            }
            return table.ring
        }
    }
}
