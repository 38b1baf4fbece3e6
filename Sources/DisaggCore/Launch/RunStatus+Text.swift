extension RunStatus {
    /// A table for people.
    ///
    /// - Parameter now: seconds since 1970.
    package func text(now: Int) -> String {
        var rows = [["NAME", "STATE", "FOR", "HEALTH", "PID", "GPUS", "RESTARTS", "URL"]]
        for process in processes {
            let recorded = process.recorded
            rows.append([
                recorded.name, process.state, WallClock.span(now - recorded.since),
                process.isHealthy.map { $0 ? "ok" : "no answer" } ?? "-", recorded.pid.map { "\($0)" } ?? "-",
                recorded.gpus.isEmpty ? "-" : recorded.gpus.map(String.init).joined(separator: ","),
                "\(recorded.restarts)", recorded.url,
            ])
        }
        var lines = [headline(now: now), ""] + Self.table(rows)
        let causes = processes.filter { $0.recorded.cause != nil }
        if !causes.isEmpty { lines.append("") }
        for process in causes {
            lines.append("\(process.recorded.name) last failed: \(process.recorded.cause ?? "")")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func headline(now: Int) -> String {
        let what = "\(state.source), \(state.model), \(state.handoff)"
        guard launcherIsAlive else {
            return "\(what): the launcher (pid \(state.launcher)) is gone; `disagg-launch down` stops what it left"
        }
        return "\(what): \(state.phase) for \(WallClock.span(now - state.startedAt)), launcher pid \(state.launcher)"
    }

    /// The same for programs: one JSON object.
    package func json(now: Int) -> String {
        let lines = processes.map { process in
            "    "
                + process.recorded.json([
                    ("actual_state", JSONString.encode(process.state)), ("alive", "\(process.isAlive)"),
                    ("healthy", process.isHealthy.map { "\($0)" } ?? "null"),
                    ("seconds_in_state", "\(max(0, now - process.recorded.since))"),
                ])
        }
        let head = RunState.members([
            ("source", JSONString.encode(state.source)), ("model", JSONString.encode(state.model)),
            ("handoff", JSONString.encode(state.handoff)), ("phase", JSONString.encode(state.phase)),
            ("launcher", "\(state.launcher)"), ("launcher_alive", "\(launcherIsAlive)"),
            ("started_at", JSONString.encode(WallClock.text(state.startedAt))),
            ("seconds", "\(max(0, now - state.startedAt))"),
        ])
        return "{\n  \(head),\n  \"processes\": [\n\(lines.joined(separator: ",\n"))\n  ]\n}\n"
    }

    /// Columns as wide as their widest cell, two spaces apart.
    static func table(_ rows: [[String]]) -> [String] {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let line = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
