/// Numbers as reports show them.
enum BenchFormat {
    /// With that many digits behind the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        DecimalText.fixed(value, digits)
    }

    /// Nanoseconds as milliseconds, with three digits or more that count.
    static func milliseconds(_ nanoseconds: Double?) -> String {
        guard let nanoseconds else { return "-" }
        let value = nanoseconds / 1e6
        return fixed(value, value < 10 ? 3 : value < 100 ? 2 : 1)
    }

    /// At the right of a column.
    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// At the left of a column.
    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// An amount of memory or data.
    static func bytes(_ count: Int) -> String {
        let value = Double(count)
        if count < 10_000 { return "\(count) B" }
        if value < 1e7 { return "\(fixed(value / 1e3, 1)) kB" }
        return value < 1e10 ? "\(fixed(value / 1e6, 1)) MB" : "\(fixed(value / 1e9, 1)) GB"
    }
}
