import Testing

@testable import DisaggCore

@Suite("Arguments as text")
struct ArgumentTextTests {
    @Test(
        "a negative number joins the option before it, and nothing else does",
        arguments: [
            (["--rate", "-1"], ["--rate=-1"]), (["bench", "--rate", "-.5", "x"], ["bench", "--rate=-.5", "x"]),
            (["--rate", "-inf"], ["--rate=-inf"]), (["--rate=3", "-1"], ["--rate=3", "-1"]),
            (["--follow", "-n", "5"], ["--follow", "-n", "5"]), (["-n", "-1"], ["-n", "-1"]), (["-1"], ["-1"]),
            (["--", "--rate", "-1"], ["--", "--rate", "-1"]), (["--a", "-"], ["--a", "-"]), ([], []),
        ])
    func joining(given: [String], expected: [String]) {
        #expect(ArgumentText.joiningNegativeNumbers(given) == expected)
    }

    @Test(
        "a complaint that says nothing of what was expected is completed",
        arguments: [
            ("'abc'", "a number"), ("'4.5'", "a whole number"), ("'-1'", "a number of 0 or more"), ("''", "a number"),
        ])
    func completing(value: String, expected: String) {
        let complaint = "Error: The value \(value) is invalid for '--x <x>'"
        #expect(ArgumentText.completing(complaint + "\nHelp: y") == "\(complaint): expected \(expected)\nHelp: y")
    }

    @Test("other complaints stay as they are")
    func others() {
        for complaint in [
            "Error: The value '3' is invalid for '--x <x>': expected 1...2, got \"3\"\nHelp: y",
            "Error: Unknown '--y'\nHelp",
            "Error: The value '3' is invalid for '--x <x>'", "",
        ] { #expect(ArgumentText.completing(complaint) == complaint) }
    }
}
