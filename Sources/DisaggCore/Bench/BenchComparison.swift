/// Two reports laid side by side.
package struct BenchComparison: Sendable {
    /// One number of both.
    private struct Row {
        var name: String
        var path: [String]
        /// Whether more is better; nil where it is neither.
        var moreIsBetter: Bool?
    }

    private let names: [String]
    private let reports: [JSONView]

    private static let rows: [Row] =
        [
            Row(name: "requests answered", path: ["requests", "succeeded"], moreIsBetter: nil),
            Row(name: "requests failed", path: ["requests", "failed"], moreIsBetter: false),
            Row(name: "requests/s", path: ["requests_per_second"], moreIsBetter: true),
            Row(name: "goodput requests/s", path: ["goodput_requests_per_second"], moreIsBetter: true),
            Row(name: "output tokens/s", path: ["output_tokens_per_second"], moreIsBetter: true),
        ]
        + ["TTFT", "TPOT", "ITL", "E2E"].flatMap { metric in
            ["mean", "p50", "p90", "p99"].map {
                Row(name: "\(metric) \($0), ms", path: ["\(metric.lowercased())_ms", $0], moreIsBetter: false)
            }
        }
        + [
            Row(name: "CPU us a token", path: ["process", "cpu_us_per_token"], moreIsBetter: false),
            Row(name: "CPU us a request", path: ["process", "cpu_us_per_request"], moreIsBetter: false),
        ]

    /// Settings that make runs comparable where they are equal.
    private static let settings = [
        "model", "endpoint", "dataset", "concurrency", "rate", "ramp_to", "burstiness", "requests", "duration_ms",
        "input_tokens", "range_ratio", "prompt_bytes", "shared_prefix_tokens", "output_tokens", "stream", "ignore_eos",
    ]

    /// Reads two reports that `--format json` wrote.
    ///
    /// - Throws: ``CommandError`` that names the file.
    package init(_ first: String, _ second: String) throws(CommandError) {
        var views: [JSONView] = []
        for path in [first, second] {
            let bytes = try BenchFile.read(path)
            guard let view = try? JSONView(parsing: bytes) else {
                throw CommandError("\(path) is no JSON; --compare takes two files that --format json wrote")
            }
            guard view["requests_per_second"] != nil, view["settings"] != nil else {
                throw CommandError("\(path) is no report of this program; --compare takes two that --format json wrote")
            }
            views.append(view)
        }
        reports = views
        names = [first, second].map { $0.split(separator: "/").last.map(String.init) ?? $0 }
    }

    /// The table: A, B, B's change against A, and whether that is better.
    package var text: String {
        let width = max(11, (names.map(\.count).max() ?? 0) + 2)
        func line(_ cells: [String]) -> String {
            var line = BenchFormat.left(cells[0], 20)
            for cell in cells[1...2] { line += BenchFormat.right(cell, width) }
            return line + BenchFormat.right(cells[3], 11) + (cells[4].isEmpty ? "" : "  \(cells[4])")
        }
        var lines = [line([""] + names + ["change", ""])]
        for row in Self.rows {
            let values = reports.map { value($0, row.path) }
            guard values.contains(where: { $0 != nil }) else { continue }
            lines.append(line([row.name] + values.map(Self.number) + Self.change(values, row.moreIsBetter)))
        }
        let different = Self.settings.filter { name in
            text(reports[0]["settings"]?[name]) != text(reports[1]["settings"]?[name])
        }
        if !different.isEmpty {
            lines.append("")
            for name in different {
                let values = reports.map { text($0["settings"]?[name]) }
                lines.append("note      the runs differ in \(name): \(values[0]) and \(values[1])")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func value(_ report: JSONView, _ path: [String]) -> Double? {
        var view: JSONView? = report
        for name in path { view = view?[name] }
        return view?.double
    }

    private func text(_ view: JSONView?) -> String { view?.rawString ?? "null" }

    private static func number(_ value: Double?) -> String {
        value.map { BenchFormat.fixed($0, $0 == $0.rounded() && abs($0) < 1e9 ? 0 : 3) } ?? "-"
    }

    /// The relative change and its verdict; below 1 % runs of one server differ as much.
    private static func change(_ values: [Double?], _ moreIsBetter: Bool?) -> [String] {
        guard let before = values[0], let after = values[1], before != 0 else { return ["", ""] }
        let change = (after - before) / abs(before)
        let text = "\(change > 0 ? "+" : "")\(BenchFormat.fixed(change * 100, 1)) %"
        guard let moreIsBetter, abs(change) >= 0.01 else { return [text, ""] }
        return [text, (change > 0) == moreIsBetter ? "better" : "worse"]
    }
}
