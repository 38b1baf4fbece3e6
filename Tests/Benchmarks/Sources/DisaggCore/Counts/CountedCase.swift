internal import CCounts

/// An operation whose instructions and allocations are counted, with the inputs and through the calls of production.
///
/// Each topic is an extension with a list, in a file of its own, and a summand of ``all``.
package struct CountedCase {
    /// `topic.case`, a word of the file of thresholds.
    package let name: String
    /// Operations of a run, so few that the costly ones take a second under valgrind.
    package let operations: Int
    /// Makes the inputs and returns the operation.
    package let prepare: () throws -> () -> Void

    init(_ name: String, operations: Int = 200, prepare: @escaping () throws -> () -> Void) {
        self.name = name
        self.operations = operations
        self.prepare = prepare
    }

    /// Every case, in the order of a request's life.
    package static var all: [CountedCase] {
        heads + identifiers + scanning + balancing + splicing + answers + handoffs + streams + merging + relay
    }

    /// Makes the compiler compute a result that nobody reads.
    @inline(__always)
    static func keep<Value>(_ value: Value) {
        withUnsafePointer(to: value) { counts_keep($0) }
    }
}
