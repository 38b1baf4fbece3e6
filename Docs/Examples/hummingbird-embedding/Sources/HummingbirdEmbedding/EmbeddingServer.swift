import ArgumentParser
import DisaggCore
import Hummingbird
import Logging

/// A Hummingbird application with routes of its own, and the OpenAI API of a prefill/decode deployment beside them.
@main
struct EmbeddingServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hummingbird-embedding",
        abstract: "Serve a prefill/decode deployment from a Hummingbird application.")

    @Option(help: "Deployment file, as for disagg-proxy; its proxy.listen is not used.")
    var config: String
    @Option(help: "Address to listen on.")
    var host = "127.0.0.1"
    @Option(help: "Port to listen on.")
    var port = 9000

    func run() async throws {
        let logger = Logger(label: "hummingbird-embedding")
        let disagg = try DisaggRouter(deployment: Deployment(contentsOf: config), logger: logger)

        let router = Router()
        router.get("/") { _, _ in "This application also serves \(disagg.deployment.model) at /v1.\n" }
        router.addDisaggRoutes(disagg)

        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname(host, port: port)),
            // Started before the server and stopped after it: requests under way find their engines until the end.
            services: [disagg],
            logger: logger)
        try await application.runService()
    }
}
