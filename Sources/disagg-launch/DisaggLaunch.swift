import ArgumentParser

@main
struct DisaggLaunch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "disagg-launch", subcommands: [SimulateCommand.self])
}
