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

    struct List: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Show all backends.")
        @OptionGroup var connection: CtlConnection
        func request() -> AdminRequestLine { .list }
    }

    struct Add: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Add a backend.")
        @Argument(help: "prefill or decode.") var role: String
        @Argument(help: ArgumentHelp("The engine's address.", valueName: "url")) var url: String
        @Option(help: "Its name in logs and metrics.") var id: String?
        @Option(help: "Its share of the requests, 0...1.") var weight: Double?
        @OptionGroup var receiver: CtlReceiver
        @Option(help: "Where it publishes KV events, for the policy kv-events.") var kvEvents: String?
        @Option(help: "Where it answers replay requests.") var kvReplay: String?
        @OptionGroup var connection: CtlConnection

        func request() throws -> AdminRequestLine {
            try .add(
                role: role, url: url, id: id, weight: weight, initPorts: receiver.initPorts,
                allocPorts: receiver.allocPorts, kvEvents: kvEvents, kvReplay: kvReplay)
        }
    }

    struct Remove: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Drain a backend, then remove it.")
        @OptionGroup var target: CtlTarget
        @OptionGroup var draining: CtlDraining
        @OptionGroup var connection: CtlConnection
        func request() throws -> AdminRequestLine {
            try .remove(target.id, wait: draining.wait, isForced: draining.force)
        }
    }

    struct Drain: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Give a backend no new requests.")
        @OptionGroup var target: CtlTarget
        @OptionGroup var draining: CtlDraining
        @OptionGroup var connection: CtlConnection
        func request() throws -> AdminRequestLine {
            try .drain(target.id, wait: draining.wait, isForced: draining.force)
        }
    }

    struct Resume: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Take a drain back.")
        @OptionGroup var target: CtlTarget
        @OptionGroup var connection: CtlConnection
        func request() -> AdminRequestLine { .resume(target.id) }
    }

    struct Weight: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Set a backend's share of the requests.")
        @OptionGroup var target: CtlTarget
        @Argument(help: "0...1; 1 is a full share.") var weight: Double
        @OptionGroup var connection: CtlConnection
        func request() -> AdminRequestLine { .weight(target.id, weight) }
    }

    struct Role: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Give a backend the other role, once it is drained.")
        @OptionGroup var target: CtlTarget
        @Argument(help: "prefill or decode.") var role: String
        @OptionGroup var draining: CtlDraining
        @OptionGroup var connection: CtlConnection

        func request() throws -> AdminRequestLine {
            try .role(target.id, role, wait: draining.wait, isForced: draining.force)
        }
    }

    struct Reload: CtlRequest {
        static let configuration = CommandConfiguration(abstract: "Take the deployment file over.")
        @OptionGroup var connection: CtlConnection
        func request() -> AdminRequestLine { .reload }
    }
}
