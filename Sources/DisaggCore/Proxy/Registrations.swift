internal import Logging
internal import NIOCore
internal import NIOPosix

/// Takes the pings of engines that report themselves, and gives the pool those that did lately.
final class Registrations: Sendable {
    private let listener: RegistrationListener
    private let lists: AsyncStream<[EngineRegistration]>
    private let deployment: Deployment
    private let controller: PoolController

    init(_ endpoint: Endpoint, deployment: Deployment, controller: PoolController, logger: Logger) {
        self.deployment = deployment
        self.controller = controller
        // Only the newest list counts.
        let (lists, continuation) = AsyncStream<[EngineRegistration]>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.lists = lists
        listener = RegistrationListener(
            endpoint: endpoint, group: MultiThreadedEventLoopGroup.singleton, logger: logger
        ) { continuation.yield($0) }
    }

    /// Opens the listener.
    ///
    /// - Returns: the port that is bound.
    /// - Throws: ``NotifyError`` that names the address.
    func start() async throws -> Int { try await listener.start() }

    /// Follows the pings until it is cancelled, then closes the listener.
    func run() async {
        for await engines in lists {
            await controller.apply(engines.map { deployment.backend($0) }, from: .ping)
        }
        await listener.shutdown()
    }
}
