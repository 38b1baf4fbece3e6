/// One element of a list such as `0,2,4-7`.
enum NumberRange {
    /// Reads `2` or `4-7`; nil for anything else, and for numbers of `limit` or more.
    static func read(_ text: some StringProtocol, below limit: Int) -> ClosedRange<Int>? {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Int($0) }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, first >= 0, last >= first, last < limit
        else { return nil }
        return first...last
    }
}
