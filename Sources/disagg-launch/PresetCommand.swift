import ArgumentParser
import DisaggCore

/// `disagg-launch preset`: lists the presets or prints one.
struct PresetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preset", abstract: "List the presets, or print one as a deployment file to edit.",
        discussion: """
            EXAMPLES:
              disagg-launch preset
              disagg-launch preset 1p1d > my.yaml

            EXIT STATUS: 0 printed; 2 there is no such preset.
            """)

    @Argument(help: "The preset to print; without a name all are listed.") var name: String?

    func run() throws {
        Terminal.write(try name.map { name throws(CommandError) in try Preset.find(name).yaml } ?? Preset.list)
    }
}
