/// Shows an answer of the admin API to people.
package enum AdminTable {
    /// A list of backends as a table, one backend as a table of one row, anything else as `name: value` lines.
    package static func text(_ answer: JSONView) -> String {
        if let backends = answer["backends"] { return table(backends.elements) }
        if answer["role"] != nil { return table([answer]) }
        var lines = ""
        answer.forEachMember { name, value in
            guard !value.isNull else { return }
            let list = value.elements.compactMap(\.string).joined(separator: ", ")
            lines += "\(name): \(value.kind == .array ? (list.isEmpty ? "-" : list) : shown(value))\n"
        }
        return lines
    }

    private static func table(_ backends: [JSONView]) -> String {
        guard !backends.isEmpty else { return "no backends\n" }
        let header = [
            "ID", "ROLE", "URL", "STATE", "IN-FLIGHT", "HANDOFFS", "PICKS", "FAILURES", "BREAKER", "WEIGHT", "TTFT",
            "TPOT",
        ]
        var rows = [header]
        for backend in backends {
            rows.append(
                [
                    shown(backend["id"]), shown(backend["role"]), shown(backend["url"]), state(backend),
                    shown(backend["in_flight"]), shown(backend["open_handoffs"]), shown(backend["picks"]),
                    shown(backend["failures"]), shown(backend["breaker"]), shown(backend["weight"]),
                    milliseconds(backend["time_to_first_token_seconds"]),
                    milliseconds(backend["time_per_token_seconds"]),
                ])
        }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ") + "\n"
        }.joined()
    }

    private static func state(_ backend: JSONView) -> String {
        var text = backend["cause"]?.string.map { "down: \($0)" } ?? shown(backend["state"])
        if let pending = backend["pending"]?.string { text += ", then \(pending)" }
        if backend["needs_restart"]?.bool == true { text += ", needs a restart" }
        return text
    }

    /// A number of seconds as milliseconds with one digit, `-` where there is none.
    private static func milliseconds(_ seconds: JSONView?) -> String {
        seconds?.double.map { "\(DecimalText.fixed($0 * 1e3, 1)) ms" } ?? "-"
    }

    private static func shown(_ value: JSONView?) -> String {
        guard let value, !value.isNull else { return "-" }
        return value.string ?? value.rawString
    }
}
