internal import Synchronization

/// What all backends of one role have together, kept as sums so that no pick adds them up.
package final class RoleTotals: Sendable {
    private let open = Atomic<Int>(0)

    package init() {}

    /// Requests open at all backends of the role.
    package var inFlight: Int { open.load(ordering: .relaxed) }

    func add(_ count: Int) { open.wrappingAdd(count, ordering: .relaxed) }
}
