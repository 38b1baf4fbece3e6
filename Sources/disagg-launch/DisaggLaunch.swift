import ArgumentParser
import DisaggCore
import Glibc

@main
struct DisaggLaunch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disagg-launch",
        abstract: "Starts prefill and decode engines and the proxy in front of them.",
        discussion: """
            Large language models are served in two halves: prefill engines read the prompt, decode engines write the \
            answer. This program starts both, hands them matching configuration, and puts one OpenAI-compatible \
            address in front. Without a GPU it starts simulated engines, so everything can be tried anywhere.

            EXAMPLES:
              disagg-launch up 1p1d                 two engines, proxy on port 9000
              disagg-launch up xpyd --dry-run       show what would be started
              disagg-launch preset 1p1d > my.yaml   a deployment file to edit
              disagg-launch up my.yaml              start it
              disagg-launch bench http://127.0.0.1:9000   measure it
              disagg-launch plan --model Qwen/Qwen3-8B --gpu H100 --gpus 4 --isl 4000 --osl 300
            """,
        version: DisaggVersion.current,
        subcommands: [
            UpCommand.self, CheckCommand.self, ConfigCommand.self, StatusCommand.self, LogsCommand.self,
            DownCommand.self, PresetCommand.self, SimulateCommand.self, BenchCommand.self, CtlCommand.self,
            PlanCommand.self, PredictCommand.self, CalibrateCommand.self,
        ])

    /// Bad arguments end with status 2, as all bad input does; the parser's own choice would be 64.
    static func main() async {
        // A reader that goes away (`disagg-launch up … | head`) must not end the launcher and leave its children.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot(
                ArgumentText.joiningNegativeNumbers(Array(CommandLine.arguments.dropFirst())))
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let code as ExitCode {
            Glibc.exit(code.rawValue)
        } catch let error as CommandError {
            Terminal.writeError("error: \(error)\n")
            Glibc.exit(error.exitStatus)
        } catch {
            guard exitCode(for: error) == .success else {
                let message = ArgumentText.completing(fullMessage(for: error))
                Terminal.writeError(message.hasPrefix("Error:") ? "e\(message.dropFirst())\n" : "\(message)\n")
                Glibc.exit(2)
            }
            exit(withError: error)
        }
    }
}
