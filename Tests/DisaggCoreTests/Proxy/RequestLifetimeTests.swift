import HTTPTypes
import Logging
import NIOCore
import Testing

@testable import DisaggCore

/// A driver and its legs know each other; whoever ends must let the other go.
@Suite("Request lifetime", .serialized, .timeLimit(.minutes(1)))
struct RequestLifetimeTests {
    private final class Flight {
        weak var request: (any RequestInFlight)?
        weak var sink: ResponseSink?
    }

    @Test(
        "nothing stays of a request, however it ends",
        arguments: [
            ScriptedReply.send(ScriptedReply.json("{}")),
            .send([ScriptedReply.streamHead, ScriptedReply.chunk("data: [DONE]\n\n") + "0\r\n\r\n"]),
            .sendAndReset([ScriptedReply.streamHead, ScriptedReply.chunk("data: 1\n\n")]), .sendAndClose([]),
            .send([ScriptedReply.streamHead, ScriptedReply.chunk("data: 1\n\n")]),
        ], [false, true])
    func ends(reply: ScriptedReply, clientLeaves: Bool) async throws {
        // A stream that nobody ends is only left by its client.
        if case .send(let pieces) = reply, pieces.count > 1, !pieces[1].contains("[DONE]"), !clientLeaves { return }
        let server = try await ScriptedServer { _, _, _ in reply }
        let shared = ProxyShared(deployment: server.deployment, logger: Logger(label: "test"))
        let reactor = try Reactor(name: "test")
        let loop = try await reactor.submit {
            NIOLoopBound(LoopContext(reactor: reactor, index: 0, shared: shared), eventLoop: reactor)
        }.get()
        let flight = try await reactor.submit {
            let flight = Flight()
            let sink = ResponseSink()
            let body = #"{"model":"m","prompt":"p","stream":true}"#
            flight.request = loop.value.serve(
                ClientRequest(
                    method: .post, target: "/v1/completions", headers: HeaderBlock(), body: ByteBuffer(string: body)),
                to: sink)
            flight.sink = sink
            return NIOLoopBound(flight, eventLoop: reactor)
        }.get()
        if clientLeaves {
            try await eventually { server.log.requests.count > 0 }
            try await reactor.submit { flight.value.request?.clientGone() }.get()
        }
        try await eventually {
            try await reactor.submit { flight.value.request == nil && flight.value.sink == nil }.get()
        }
        _ = try await reactor.submit { loop.value.shutDown() }.get()
        await reactor.stop()
        await server.shutdown()
    }
}
