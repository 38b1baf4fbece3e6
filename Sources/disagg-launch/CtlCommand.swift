import ArgumentParser
import DisaggCore

/// `disagg-launch ctl`: shows and changes the backends of a proxy that runs.
struct CtlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ctl",
        abstract: "Show and change the backends of a running proxy.",
        discussion: """
            Speaks to the proxy's admin API. Nothing in flight is lost by a change: a backend that leaves or changes its \
            role ends its requests first, and a prefill engine also waits until its KV was used.

            EXAMPLES:
              disagg-launch ctl list
              disagg-launch ctl add decode http://10.0.0.7:8200
              disagg-launch ctl drain prefill-1 --wait 60s
              disagg-launch ctl role decode-1 prefill
              disagg-launch ctl reload

            Changes need the proxy's admin token: --token-file, or the variable \(AdminSettings.tokenVariable).

            EXIT STATUS: 0 done; 1 the proxy refused or did not answer; 2 wrong arguments.
            """,
        subcommands: [
            List.self, Add.self, Remove.self, Drain.self, Resume.self, Weight.self, Role.self, Reload.self,
        ])

    /// Where the proxy is, and how the answer is shown.
    struct Connection: ParsableArguments {
        @Option(help: ArgumentHelp("The proxy's admin listener.", valueName: "url"))
        var admin = "http://127.0.0.1:9001"

        @Option(help: ArgumentHelp("File whose first line is the admin token.", valueName: "file"))
        var tokenFile: String?

        @Flag(help: "Print the answer as JSON.")
        var json = false

        /// Sends a request and prints the answer.
        func run(_ request: AdminRequestLine) async throws {
            let client = try AdminClient(admin: admin, tokenFile: tokenFile)
            let answer = try await client.send(request)
            Terminal.write(json ? answer.text + "\n" : AdminTable.text(answer.view))
        }
    }

    /// Options of what takes its time.
    struct Draining: ParsableArguments {
        @Option(help: ArgumentHelp("Wait until it is done, at most so long.", valueName: "duration"))
        var wait: String?

        @Flag(help: "Go on although it is the role's last backend.")
        var force = false
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show all backends.")
        @OptionGroup var connection: Connection
        func run() async throws { try await connection.run(.list) }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a backend.")
        @Argument(help: "prefill or decode.") var role: String
        @Argument(help: ArgumentHelp("The engine's address.", valueName: "url")) var url: String
        @Option(help: "Its name in logs and metrics.") var id: String?
        @Option(help: "Its share of the requests, 0...1.") var weight: Double?
        @Option(help: "An LMCache decoder's pd_peer_init_port, one a rank, comma-separated.") var initPorts: String?
        @Option(help: "An LMCache decoder's pd_peer_alloc_port, one a rank, comma-separated.") var allocPorts: String?
        @OptionGroup var connection: Connection

        func run() async throws {
            try await connection.run(
                .add(role: role, url: url, id: id, weight: weight, initPorts: initPorts, allocPorts: allocPorts))
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Drain a backend, then remove it.")
        @Argument(help: "The backend's id.") var id: String
        @OptionGroup var draining: Draining
        @OptionGroup var connection: Connection
        func run() async throws {
            try await connection.run(.remove(id, wait: draining.wait, isForced: draining.force))
        }
    }

    struct Drain: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give a backend no new requests.")
        @Argument(help: "The backend's id.") var id: String
        @OptionGroup var draining: Draining
        @OptionGroup var connection: Connection
        func run() async throws {
            try await connection.run(.drain(id, wait: draining.wait, isForced: draining.force))
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a drain back.")
        @Argument(help: "The backend's id.") var id: String
        @OptionGroup var connection: Connection
        func run() async throws { try await connection.run(.resume(id)) }
    }

    struct Weight: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Set a backend's share of the requests.")
        @Argument(help: "The backend's id.") var id: String
        @Argument(help: "0...1; 1 is a full share.") var weight: Double
        @OptionGroup var connection: Connection
        func run() async throws { try await connection.run(.weight(id, weight)) }
    }

    struct Role: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give a backend the other role, once it is drained.")
        @Argument(help: "The backend's id.") var id: String
        @Argument(help: "prefill or decode.") var role: String
        @OptionGroup var draining: Draining
        @OptionGroup var connection: Connection
        func run() async throws {
            try await connection.run(.role(id, role, wait: draining.wait, isForced: draining.force))
        }
    }

    struct Reload: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take the deployment file over.")
        @OptionGroup var connection: Connection
        func run() async throws { try await connection.run(.reload) }
    }
}
