/// Gives the pool the engines that reported themselves lately.
final class Registrations: Sendable {
    private let lists: AsyncStream<[EngineRegistration]>
    private let continuation: AsyncStream<[EngineRegistration]>.Continuation
    private let deployment: Deployment
    private let controller: PoolController

    init(deployment: Deployment, controller: PoolController) {
        self.deployment = deployment
        self.controller = controller
        // Only the newest list counts.
        (lists, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Engines came, changed or went; from any thread.
    func heard(_ engines: [EngineRegistration]) { continuation.yield(engines) }

    /// Follows the reports until it is cancelled. An engine that the deployment names stays the deployment's.
    func run() async {
        for await engines in lists {
            await controller.apply(engines.map { deployment.backend($0) }, from: .ping)
        }
    }
}
