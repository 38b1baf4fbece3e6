import ArgumentParser
import DisaggCore

/// A subcommand of `ctl`: one request to the proxy's admin API, whose answer is shown.
protocol CtlRequest: AsyncParsableCommand {
    var connection: CtlConnection { get }
    func request() throws -> AdminRequestLine
}

extension CtlRequest {
    func run() async throws {
        let client = try AdminClient(admin: connection.admin, tokenFile: connection.tokenFile)
        let answer = try await client.send(try request())
        Terminal.write(connection.json ? answer.text + "\n" : AdminTable.text(answer.view))
    }
}

/// Where the proxy is, and how the answer is shown.
struct CtlConnection: ParsableArguments {
    @Option(help: ArgumentHelp("The proxy's admin listener.", valueName: "url")) var admin = "http://127.0.0.1:9001"
    @Option(help: ArgumentHelp("File whose first line is the admin token.", valueName: "file")) var tokenFile: String?
    @Flag(help: "Print the answer as JSON.") var json = false
}

/// Which backend.
struct CtlTarget: ParsableArguments {
    @Argument(help: "The backend's id.") var id: String
}

/// Options of what takes its time.
struct CtlDraining: ParsableArguments {
    @Option(help: ArgumentHelp("Wait until it is done, at most so long.", valueName: "duration")) var wait: String?
    @Flag(help: "Go on although it is the role's last backend.") var force = false
}

/// Where an LMCache decoder takes KV.
struct CtlReceiver: ParsableArguments {
    @Option(help: "An LMCache decoder's pd_peer_init_port, one a rank, comma-separated.") var initPorts: String?
    @Option(help: "An LMCache decoder's pd_peer_alloc_port, one a rank, comma-separated.") var allocPorts: String?
}
