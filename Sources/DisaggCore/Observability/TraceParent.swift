/// Reads the `traceparent` header of W3C Trace Context.
package enum TraceParent {
    /// The trace's id: the second of four parts, 32 lower-case hexadecimal digits that are not all zero. Nil for anything
    /// else, so that nothing a client made up goes into a log.
    package static func traceID(_ value: String?) -> String? {
        guard let value, value.utf8.count >= 55 else { return nil }
        let parts = value.split(separator: "-", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0].utf8.count == 2, parts[1].utf8.count == 32, parts[2].utf8.count == 16,
            parts[1].utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x66) }),
            parts[1].utf8.contains(where: { $0 != 0x30 })
        else { return nil }
        return String(parts[1])
    }
}
