/// Writes metrics as the text that Prometheus scrapes.
package struct PrometheusText: Sendable {
    /// Which of the two text formats.
    package enum Format: Sendable, Equatable {
        /// Prometheus text format 0.0.4.
        case prometheus
        /// OpenMetrics 1.0.0.
        case openMetrics

        /// What an `Accept` header asks for; 0.0.4 where it names OpenMetrics not, or an unknown version of it only.
        package static func asked(by accept: String?) -> Format {
            guard let accept else { return .prometheus }
            let wants = accept.split(separator: ",").contains { range in
                let parts = range.split(separator: ";").map { part in part.lowercased().filter { $0 != " " } }
                guard parts.first == "application/openmetrics-text", !parts.contains("q=0") else { return false }
                let version = parts.first { $0.hasPrefix("version=") }?.dropFirst("version=".count)
                return version.map { $0.hasPrefix("1.") } ?? true
            }
            return wants ? .openMetrics : .prometheus
        }

        /// The `Content-Type` of a page in this format.
        package var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var text = ""

    private init(_ format: Format) { self.format = format }

    /// The whole page.
    package static func page(_ families: [MetricFamily], format: Format = .prometheus) -> String {
        var page = PrometheusText(format)
        for family in families { page.write(family) }
        if format == .openMetrics { page.text += "# EOF\n" }
        return page.text
    }

    private mutating func write(_ family: MetricFamily) {
        var name = family.name
        // OpenMetrics names the family without the suffix that the samples carry.
        if format == .openMetrics, family.kind == .counter, name.hasSuffix("_total") { name.removeLast(6) }
        text += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind.rawValue)\n"
        for sample in family.samples {
            switch sample.value {
            case .integer(let value): write(family.name, sample.labels, "\(value)")
            case .decimal(let value): write(family.name, sample.labels, "\(value)")
            case .histogram(let value): write(family.name, sample.labels, value)
            }
        }
    }

    private mutating func write(
        _ name: String, _ labels: [(name: String, value: String)], _ histogram: MetricHistogram
    ) {
        var running = 0
        for (bound, count) in zip(histogram.bounds.nanoseconds, histogram.counts) {
            running += count
            write(name + "_bucket", labels + [("le", Self.seconds(bound))], "\(running)")
        }
        write(name + "_bucket", labels + [("le", "+Inf")], "\(histogram.count)")
        write(name + "_sum", labels, Self.seconds(histogram.nanoseconds))
        write(name + "_count", labels, "\(histogram.count)")
    }

    private mutating func write(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\(Self.escape($0.value))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// Nanoseconds as a decimal number of seconds, exactly; whole numbers end with `.0`, as OpenMetrics wants bounds.
    package static func seconds(_ nanoseconds: Int64) -> String {
        let magnitude = nanoseconds.magnitude
        var fraction = String(magnitude % 1_000_000_000)
        fraction = String(repeating: "0", count: 9 - fraction.utf8.count) + fraction
        while fraction.utf8.count > 1, fraction.hasSuffix("0") { fraction.removeLast() }
        return "\(nanoseconds < 0 ? "-" : "")\(magnitude / 1_000_000_000).\(fraction)"
    }

    private static func escape(_ value: String) -> String {
        value.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
    }
}
