extension CheckCatalog {
    /// Docs/Checks.md, whole. A test compares the file with it.
    package static var document: String {
        var lines = [
            "# Checks", "",
            "`disagg-launch check` applies these rules, and `disagg-launch up` those that need nothing running before it "
                + "starts anything.", "",
            "- **error**: it will not work, or not rightly. `check` ends with status 1, `up` does not start.",
            "- **warning**: it works, but can hang, be slow, or break on the next change.", "",
            "`check` takes a deployment (`check my.yaml`), or LMCache files and command lines that you have already "
                + "(`check --lmcache-config P.yaml --lmcache-config D.yaml --proxy-args \"…\" --prefill-args \"…\" "
                + "--decode-args \"…\"`). `--format json` prints one object. Status 2 means that something could not be read.",
            "",
            "`check my.yaml --online` looks at what runs too: what engines and the proxy answer, their processes' environment, and, "
                + "with `--log-dir` where it is not `logs`, what their logs say since the last start. It sends no generation.",
            "",
            "Numbers under *source* are issues of LMCache where nothing else is said; file names are of LMCache 0.5.6 "
                + "unless they begin with vllm.", "",
            "This file is written by `disagg-launch check --list`; do not edit it.",
        ]
        for section in sections {
            lines += ["", "## \(section.title)", "", section.about]
            for check in section.checks {
                lines += [
                    "", "### \(check.id.rawValue)", "", "**\(check.severity.rawValue)** – \(check.rule)", "",
                    "- *otherwise*: \(check.why)", "- *fix*: \(check.fix)", "- *source*: \(check.source)",
                ]
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
