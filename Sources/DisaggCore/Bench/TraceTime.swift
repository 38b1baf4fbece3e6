/// Times as Azure's traces have them.
enum TraceTime {
    /// Nanoseconds since 1970 of `2023-11-16 18:15:46.6805900`, with a `T`, a zone of `+00:00` or `Z`, or of a plain number of
    /// seconds; nil for anything else.
    static func nanoseconds(_ text: String) -> Int? {
        if let seconds = Double(text) { return (0...4e9).contains(seconds) ? Int(seconds * 1e9) : nil }
        let halves = text.split(whereSeparator: { $0 == " " || $0 == "T" })
        guard halves.count == 2 else { return nil }
        let date = halves[0].split(separator: "-").map { Int($0) }
        var clock = halves[1]
        if clock.hasSuffix("Z") { clock = clock.dropLast() }
        if clock.hasSuffix("+00:00") { clock = clock.dropLast(6) }
        let parts = clock.split(separator: ":")
        guard date.count == 3, parts.count == 3, let year = date[0], let month = date[1], let day = date[2],
            (1970...2200).contains(year), (1...12).contains(month), (1...31).contains(day), let hour = Int(parts[0]),
            let minute = Int(parts[1]), let second = Double(parts[2]), (0...23).contains(hour),
            (0...59).contains(minute),
            (0..<61).contains(second)
        else { return nil }
        let whole = days(year, month, day) * 86_400 + hour * 3600 + minute * 60
        return whole * 1_000_000_000 + Int(second * 1e9)
    }

    /// Days from 1970-01-01 in the Gregorian calendar: years that begin in March have their leap day at the end.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
