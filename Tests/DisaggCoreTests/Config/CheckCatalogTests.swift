import Testing

@testable import DisaggCore

@Suite("The table of checks")
struct CheckCatalogTests {
    @Test("every check has an entry, and every entry is complete")
    func complete() {
        for id in CheckID.allCases {
            let check = CheckCatalog.all[id]
            #expect(check != nil, "\(id.rawValue) has no entry")
            for text in [check?.rule, check?.why, check?.fix, check?.source] {
                #expect(text?.isEmpty == false, "\(id)")
            }
        }
        #expect(CheckCatalog.sections.flatMap(\.checks).count == CheckID.allCases.count)
    }

    @Test("Docs/Checks.md is what the table says; write it anew with `disagg-launch check --list > Docs/Checks.md`")
    func document() {
        #expect(ProcFile.text(LaunchScene.root + "/Docs/Checks.md") == CheckCatalog.document)
    }

    @Test("a report has the worst first, and its JSON can be read")
    func report() throws {
        let report = CheckReport(
            subject: "x",
            findings: [
                CheckFinding(.pdMaxPrefillUnset, "D.yaml", "unset"),
                CheckFinding(.pdOff, "P.yaml:1:1", "off \"really\""),
                CheckFinding(.pdOff, "P.yaml:1:1", "off \"really\""),
            ])
        #expect(report.findings.map(\.check) == [.pdOff, .pdMaxPrefillUnset])
        #expect(report.exitStatus == 1 && report.summary == "x: 1 error, 1 warning")
        let view = try JSONView(parsing: report.json)
        #expect(view["errors"]?.int == 1)
        #expect(view["findings"]?[0]?["id"]?.string == "pd-off")
        #expect(view["findings"]?[0]?["message"]?.string == "off \"really\"")
        #expect(report.text.hasPrefix("error: P.yaml:1:1: off \"really\" [pd-off]\n  why: "))
        let clean = CheckReport(subject: "x", findings: [])
        #expect(clean.exitStatus == 0 && clean.text == "x: all checks pass\n")
    }
}
