/// How often KV came to each of its ends.
package struct ReleaseCounts: Sendable {
    private var counts = [Int](repeating: 0, count: ReleaseReason.allCases.count)

    package init() {}

    /// Attempts whose KV ended so.
    package subscript(_ reason: ReleaseReason) -> Int {
        get { counts[Self.place(of: reason)] }
        set { counts[Self.place(of: reason)] = newValue }
    }

    private static func place(of reason: ReleaseReason) -> Int {
        switch reason {
        case .consumed: 0
        case .throwAwayDecode: 1
        case .rejectedDecode: 2
        case .cancelled: 3
        case .lease: 4
        case .abandoned: 5
        }
    }
}
