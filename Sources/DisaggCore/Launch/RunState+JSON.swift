extension RunState {
    /// The state as one JSON object, a process a line.
    package var json: String {
        let lines = processes.map { "    \($0.json)" }.joined(separator: ",\n")
        let head = Self.members([
            ("version", "1"), ("source", JSONString.encode(source)), ("model", JSONString.encode(model)),
            ("handoff", JSONString.encode(handoff)), ("phase", JSONString.encode(phase)),
            ("started_at", "\(startedAt)"), ("launcher", "\(launcher)"), ("launcher_ticks", "\(launcherTicks)"),
            ("boot_id", JSONString.encode(bootID)), ("mark", JSONString.encode(mark)),
        ])
        return "{\n  \(head),\n  \"processes\": [\n\(lines)\n  ]\n}\n"
    }

    /// Reads what ``json`` wrote; nil for anything else.
    package init?(_ view: JSONView) {
        guard view["version"]?.int == 1, let launcher = Self.pid(view["launcher"]),
            let ticks = view["launcher_ticks"]?.int, let bootID = view["boot_id"]?.string,
            let mark = view["mark"]?.string, let list = view["processes"], list.kind == .array
        else { return nil }
        self.launcher = launcher
        launcherTicks = UInt64(clamping: ticks)
        self.bootID = bootID
        self.mark = mark
        source = view["source"]?.string ?? ""
        model = view["model"]?.string ?? ""
        handoff = view["handoff"]?.string ?? ""
        phase = view["phase"]?.string ?? ""
        startedAt = view["started_at"]?.int ?? 0
        processes = list.elements.compactMap(Process.init)
    }

    static func members(_ members: [(String, String)]) -> String {
        members.map { "\(JSONString.encode($0.0)): \($0.1)" }.joined(separator: ", ")
    }

    /// A process id that a signal may be sent to: never 0, 1 or a group.
    static func pid(_ view: JSONView?) -> Int32? {
        view?.int.flatMap { $0 > 1 ? Int32(exactly: $0) : nil }
    }
}

extension RunState.Process {
    /// The members of one process; `extra` follows them.
    func json(_ extra: [(String, String)]) -> String {
        "{"
            + RunState.members(
                [
                    ("name", JSONString.encode(name)), ("role", JSONString.encode(role)),
                    ("state", JSONString.encode(state)), ("pid", pid.map { "\($0)" } ?? "null"),
                    ("start_ticks", startTicks.map { "\($0)" } ?? "null"), ("url", JSONString.encode(url)),
                    ("health_url", JSONString.encode(healthURL)), ("log", JSONString.encode(log)),
                    ("gpus", "[\(gpus.map(String.init).joined(separator: ", "))]"), ("restarts", "\(restarts)"),
                    ("since", "\(since)"), ("cause", cause.map(JSONString.encode) ?? "null"),
                ] + extra) + "}"
    }

    var json: String { json([]) }

    init?(_ view: JSONView) {
        guard let name = view["name"]?.string, let state = view["state"]?.string, let log = view["log"]?.string else {
            return nil
        }
        self.name = name
        self.state = state
        self.log = log
        role = view["role"]?.string ?? ""
        pid = RunState.pid(view["pid"])
        startTicks = view["start_ticks"]?.int.map { UInt64(clamping: $0) }
        url = view["url"]?.string ?? ""
        healthURL = view["health_url"]?.string ?? ""
        gpus = (view["gpus"]?.elements ?? []).compactMap(\.int)
        restarts = view["restarts"]?.int ?? 0
        since = view["since"]?.int ?? 0
        cause = view["cause"]?.string
    }
}
