internal import DisaggCore
internal import ServiceLifecycle
internal import UnixSignals

/// Does what SIGHUP asks for, each time it comes.
struct HangUpService: Service {
    let server: DisaggServer

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: [.sighup]).cancelOnGracefulShutdown() {
            await server.hangUp()
        }
        try? await gracefulShutdown()
    }
}
