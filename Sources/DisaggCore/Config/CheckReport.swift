/// What a run of the checks found, ready to be shown.
package struct CheckReport: Sendable, Hashable {
    /// The findings, errors first.
    package var findings: [CheckFinding]
    /// What was looked at, in words.
    package var subject: String
    /// Facts that help to understand the findings: sizes, ports, versions.
    package var facts: [String]

    /// Collects findings; each is kept once.
    package init(subject: String, findings: [CheckFinding], facts: [String] = []) {
        var seen: Set<CheckFinding> = []
        let unique = findings.filter { seen.insert($0).inserted }
        self.findings = unique.enumerated().sorted { left, right in
            let (first, second) = (
                CheckCatalog.severity(left.element.check), CheckCatalog.severity(right.element.check)
            )
            return first == second ? left.offset < right.offset : first < second
        }.map(\.element)
        self.subject = subject
        self.facts = facts
    }

    /// How many findings of a severity there are.
    package func count(_ severity: CheckSeverity) -> Int {
        findings.count { CheckCatalog.severity($0.check) == severity }
    }

    /// 1 where there are errors, else 0; 2 is for what could not be checked at all.
    package var exitStatus: Int32 { count(.error) > 0 ? 1 : 0 }

    /// The report as text: one block a finding.
    package var text: String {
        var lines = facts
        if !facts.isEmpty, !findings.isEmpty { lines.append("") }
        for finding in findings {
            guard let check = CheckCatalog.all[finding.check] else { continue }
            lines.append("\(check.severity.rawValue): \(finding.place): \(finding.message) [\(finding.check.rawValue)]")
            lines.append("  why: \(check.why)")
            lines.append("  fix: \(check.fix)")
        }
        lines.append(summary)
        return lines.joined(separator: "\n") + "\n"
    }

    /// The findings of one severity in one line each.
    package func lines(_ severity: CheckSeverity) -> [String] {
        findings.filter { CheckCatalog.severity($0.check) == severity }.map { finding in
            "\(finding.place): \(finding.message) [\(finding.check.rawValue)]\n  fix: \(CheckCatalog.all[finding.check]?.fix ?? "")"
        }
    }

    /// How many findings of each kind there are.
    package var summary: String {
        let errors = count(.error)
        let warnings = count(.warning)
        guard errors + warnings > 0 else { return "\(subject): all checks pass" }
        return "\(subject): \(errors) error\(errors == 1 ? "" : "s"), \(warnings) warning\(warnings == 1 ? "" : "s")"
    }

    /// The report as one JSON object.
    package var json: String {
        let entries = findings.map { finding -> String in
            let check = CheckCatalog.all[finding.check]
            let members = [
                ("id", finding.check.rawValue), ("severity", CheckCatalog.severity(finding.check).rawValue),
                ("place", finding.place), ("message", finding.message), ("why", check?.why ?? ""),
                ("fix", check?.fix ?? ""), ("source", check?.source ?? ""),
            ]
            return "{" + members.map { "\"\($0)\": \(JSONString.encode($1))" }.joined(separator: ", ") + "}"
        }
        let list = entries.isEmpty ? "[]" : "[\n    \(entries.joined(separator: ",\n    "))\n  ]"
        let facts = facts.map { JSONString.encode($0) }.joined(separator: ", ")
        return """
            {
              "subject": \(JSONString.encode(subject)),
              "errors": \(count(.error)),
              "warnings": \(count(.warning)),
              "facts": [\(facts)],
              "findings": \(list)
            }

            """
    }
}
