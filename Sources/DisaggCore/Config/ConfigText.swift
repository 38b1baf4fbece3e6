/// How durations, sizes and addresses are written in a deployment file.
package enum ConfigText {
    /// Units of time, in nanoseconds; the longest fitting one is used for writing.
    private static let timeUnits: [(name: String, nanoseconds: Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
        ("ns", 1),
    ]

    /// Units of size, in bytes.
    private static let sizeUnits: [(name: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("TB", 1_000_000_000_000),
        ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1),
    ]

    /// Reads `30s`, `500ms`, `1.5h`; units are h, m, s, ms, us, ns. Nil for anything else.
    package static func duration(_ text: String) -> Duration? {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(number.count)
        guard let scale = timeUnits.first(where: { $0.name == unit })?.nanoseconds,
            let nanoseconds = scaled(number, by: scale)
        else { return nil }
        return .nanoseconds(nanoseconds)
    }

    /// Writes a duration so that ``duration(_:)`` reads it back, to the nanosecond.
    package static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return "\(seconds)s" }
        let nanoseconds = product + attoseconds / 1_000_000_000
        // 90 s reads better than 1.5 m, and 60 s is as clear as 1 m: only seconds and smaller are written.
        for unit in timeUnits.dropFirst(2) where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
        }
        return "\(nanoseconds)ns"
    }

    /// Reads `2GiB`, `1.5 MiB`, `64MB` or a number of bytes. Nil for anything else, and where it is no whole number.
    package static func bytes(_ text: String) -> Int? {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        var unit = text.dropFirst(number.count)
        if unit.first == " " { unit = unit.dropFirst() }
        if unit.isEmpty { return Int(number) }
        guard let scale = sizeUnits.first(where: { $0.name == unit })?.bytes else { return nil }
        return scaled(number, by: Int64(scale)).flatMap(Int.init(exactly:))
    }

    /// Writes a size so that ``bytes(_:)`` reads it back exactly.
    package static func text(bytes: Int) -> String {
        for unit in sizeUnits.prefix(4) where bytes > 0 && bytes % unit.bytes == 0 {
            return "\(bytes / unit.bytes)\(unit.name)"
        }
        return "\(bytes)"
    }

    /// Reads `host:port`, `[::1]:port`, with `http://` in front and `/` behind allowed. Ports are 0...65535.
    package static func endpoint(_ text: String) -> Endpoint? {
        var rest = text[...]
        if rest.hasPrefix("http://") { rest = rest.dropFirst(7) }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard let colon = rest.lastIndex(of: ":") else { return nil }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || $0 == "/" || $0 == "[" || $0 == "]" }),
            let port = integer(rest[rest.index(after: colon)...]), (0...65535).contains(port)
        else { return nil }
        return Endpoint(host: String(host), port: port)
    }

    /// Reads a plain decimal integer: no sign but `-`, no leading zero (YAML 1.1 would take `010` for 8).
    package static func integer(_ text: some StringProtocol) -> Int? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            digits.count == 1 || !digits.hasPrefix("0")
        else { return nil }
        return Int(text)
    }

    /// A decimal number times a scale, nil where it is malformed, overflows or is no whole number.
    private static func scaled(_ number: Substring, by scale: Int64) -> Int64? {
        let parts = number.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, !whole.isEmpty, let value = Int64(whole) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: scale)
        guard !overflow else { return nil }
        guard parts.count == 2 else { return product }
        let fraction = parts[1]
        guard !fraction.isEmpty, fraction.count <= 9, let numerator = Int64(fraction) else { return nil }
        var divisor: Int64 = 1
        for _ in fraction { divisor *= 10 }
        let scaledFraction = numerator.multipliedFullWidth(by: scale)
        let (quotient, remainder) = divisor.dividingFullWidth(scaledFraction)
        guard remainder == 0 else { return nil }
        let (sum, sumOverflow) = product.addingReportingOverflow(quotient)
        return sumOverflow ? nil : sum
    }
}
