/// What `up --dry-run` prints: a shell script that does by hand what `up` does.
package enum DryRun {
    /// The script: files, then one command for each process in start order.
    package static func script(_ plan: LaunchPlan, directory: String) -> String {
        var lines = [
            "# What disagg-launch would do; nothing has been started or written.",
            "# Values shown as \(SecretMask.mask) are secrets: fill them in before pasting.",
            "mkdir -p \(ShellText.quoted(directory))",
        ]
        for file in plan.processes.flatMap(\.command.files) {
            lines += ["", "cat > \(ShellText.quoted(file.path)) <<'END_OF_FILE'", "\(file.contents)END_OF_FILE"]
        }
        for process in plan.processes {
            let command = process.command
            lines += ["", "# \(command.name): \(process.url), ready when \(process.readinessURL) answers 200"]
            var words = command.environment.sorted { $0.key < $1.key }.map { name, value in
                "\(ShellText.quoted(name))=\(ShellText.quoted(SecretMask.isSecret(name) ? SecretMask.mask : value))"
            }
            if !words.isEmpty { words.insert("env", at: 0) }
            words.append(ShellText.command(SecretMask.masked(command.arguments)))
            lines.append("\(words.joined(separator: " ")) > \(ShellText.quoted(command.logFile)) 2>&1 &")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
