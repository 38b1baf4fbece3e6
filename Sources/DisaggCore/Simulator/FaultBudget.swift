import Synchronization

/// A number of faults that several engines share: the first to be asked is struck, whichever it is.
package final class FaultBudget: Sendable, Hashable {
    private let left: Atomic<Int>

    /// - Parameter count: how many faults strike in all.
    package init(_ count: Int) { left = Atomic(count) }

    /// Whether a fault may strike now.
    func take() -> Bool { left.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 }

    package static func == (left: FaultBudget, right: FaultBudget) -> Bool { left === right }
    package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
