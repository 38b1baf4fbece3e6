import ArgumentParser
import DisaggCore

/// `disagg-launch preset`: lists the presets or prints one.
struct PresetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preset",
        abstract: "List the presets, or print one as a deployment file to edit.",
        discussion: """
            EXAMPLES:
              disagg-launch preset
              disagg-launch preset 1p1d > my.yaml
            """)

    @Argument(help: "The preset to print; without a name all are listed.")
    var name: String?

    func run() throws {
        guard let name else {
            for preset in Preset.all {
                Terminal.write("\(preset.name)   \(preset.summary)\n")
            }
            return
        }
        guard let preset = Preset.named(name) else {
            let names = Preset.all.map(\.name).joined(separator: ", ")
            throw CommandError("there is no preset \"\(name)\"; there are \(names)")
        }
        Terminal.write(preset.yaml)
    }
}
