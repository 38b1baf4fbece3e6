import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

extension SimulatedFaults {
    /// Faults with some members set.
    static func with(_ change: (inout SimulatedFaults) -> Void) -> SimulatedFaults {
        var faults = SimulatedFaults()
        change(&faults)
        return faults
    }
}

/// Keeps a dead engine's port from being given to another test's engine: bound, not listening, so it refuses.
final class HeldPort: Sendable {
    private let descriptor: CInt

    init(_ port: Int) async throws {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        // NIO's address, not sockaddr_in: whose members the compiler finds in Glibc or in NIO's C module, by the files it
        // happens to compile together.
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        let descriptor = descriptor
        // The listener closes a moment after the engine's death.
        try await eventually {
            address.withSockAddr { bind(descriptor, $0, socklen_t($1)) == 0 }
        }
    }

    deinit { close(descriptor) }
}

extension SimulatedEngine {
    /// Dies at once; its port refuses connections as long as the result is kept.
    func kill() async throws -> HeldPort {
        let port = ports?.http ?? 0
        try await inject(.with { $0.die = true })
        return try await HeldPort(port)
    }
}

extension ProxyHarness {
    /// A request that no other test or call has sent.
    static func completion(_ name: String, _ members: String = #""max_tokens":8,"temperature":0"#) -> String {
        #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":"Once upon a time there was \#(name)",\#(members)}"#
    }

    static func chat(_ name: String, _ members: String = #""max_tokens":8,"temperature":0"#) -> String {
        #"{"model":"meta-llama/Llama-3.1-8B-Instruct","messages":[{"role":"user","content":"Tell me of \#(name)"}],"#
            + #"\#(members)}"#
    }

    /// Expects the proxy's answer to be the one that a single engine gives.
    func expectRight(
        _ path: String, _ body: String, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let expected = NormalizedAnswer(try await direct.post(path, body))
        let actual = NormalizedAnswer(try await proxy.post(path, body))
        #expect(actual == expected, comment, sourceLocation: sourceLocation)
    }

    /// Expects every engine that should live to live, with nothing held, leaked or freed twice.
    func expectClean(except dead: [SimulatedEngine] = [], sourceLocation: SourceLocation = #_sourceLocation)
        async throws
    {
        let deadline = ContinuousClock.now + .seconds(10)
        for engine in prefill + decode where !dead.contains(where: { $0 === engine }) {
            var ledger = try await engine.ledger()
            while !ledger.isClean, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(5))
                ledger = try await engine.ledger()
            }
            let name = "\(engine.configuration.role.rawValue) \(ledger)"
            #expect(ledger.isClean, "\(name)", sourceLocation: sourceLocation)
            #expect(!ledger.dead, "\(name)", sourceLocation: sourceLocation)
        }
    }

    /// Waits until the proxy has no request, release or pass under way.
    func settles() async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while try await metric("disagg_requests_in_flight") != "0", ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try await metric("disagg_requests_in_flight") == "0")
    }
}

extension RawResponse {
    /// Whether this is an error in the OpenAI shape, complete, with the status in the body too.
    func isOpenAIError(_ status: Int) -> Bool {
        guard self.status == status, isComplete, let error = json?["error"] else { return false }
        return error["code"]?.int == status && error["message"]?.string?.isEmpty == false
            && error["type"]?.string?.isEmpty == false
    }

    /// Whether this is a complete event stream that ends with an error event and `[DONE]`.
    var isBrokenStream: Bool {
        let parts = body.components(separatedBy: "\n\n")
        guard status == 200, isComplete, parts.count >= 3, parts.suffix(2).elementsEqual(["data: [DONE]", ""]) else {
            return false
        }
        for part in parts.dropLast(2) {
            guard part.hasPrefix("data: "), (try? JSONView(parsing: String(part.dropFirst(6)))) != nil else {
                return false
            }
        }
        return events.last?["error"]?["message"]?.string?.isEmpty == false
    }

    /// The text of all choices' chunks.
    var streamedText: String {
        events.map { event in
            event["choices"]?[0]?["text"]?.string ?? event["choices"]?[0]?["delta"]?["content"]?.string ?? ""
        }.joined()
    }
}

/// A server that answers every request with the bytes it was given, in the pieces it was given, or not at all.
struct ScriptedEngine {
    let port: Int
    private let channel: any Channel
    private let log = NIOLockedValueBox<[String]>([])

    /// What was received, one text a read.
    var bodies: [String] { log.withLockedValue { $0 } }

    /// - Parameters:
    ///   - pieces: what is written, one flush each, when a request's head is there; nothing where empty.
    ///   - closes: whether the connection is closed after it.
    ///   - keepsBodies: whether the body of each request is kept; it must come in one piece with the head.
    ///   - keepsHeads: whether the head is kept with it.
    init(_ pieces: [String], closes: Bool, keepsBodies: Bool = false, keepsHeads: Bool = false) async throws {
        let log = keepsBodies ? log : nil
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Script(pieces: pieces, closes: closes, log: log, keepsHeads: keepsHeads))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func shutdown() async { try? await channel.close() }

    private final class Script: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let pieces: [String]
        private let closes: Bool
        private var received: [UInt8] = []

        private let log: NIOLockedValueBox<[String]>?
        private let keepsHeads: Bool

        init(pieces: [String], closes: Bool, log: NIOLockedValueBox<[String]>?, keepsHeads: Bool) {
            self.keepsHeads = keepsHeads
            self.pieces = pieces
            self.closes = closes
            self.log = log
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received.append(contentsOf: unwrapInboundIn(data).readableBytesView)
            guard received.contains([13, 10, 13, 10]), !pieces.isEmpty else { return }
            let text = String(decoding: received, as: UTF8.self)
            log?.withLockedValue { $0.append(keepsHeads ? text : text.components(separatedBy: "\r\n\r\n").last ?? "") }
            received = []
            for piece in pieces {
                context.writeAndFlush(NIOAny(ByteBuffer(string: piece)), promise: nil)
            }
            if closes { context.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// The bytes a connection has got so far.
final class SharedBytes: Sendable {
    private let bytes = NIOLockedValueBox<[UInt8]>([])

    func set(_ value: [UInt8]) { bytes.withLockedValue { $0 = value } }

    /// What follows the head.
    var body: String {
        let text = String(decoding: bytes.withLockedValue { $0 }, as: UTF8.self)
        return text.components(separatedBy: "\r\n\r\n").dropFirst().joined(separator: "\r\n\r\n")
    }
}

/// How a test's engines and proxy differ from the harness's.
struct HarnessSetup {
    var configure: (inout SimulatedEngineConfiguration) -> Void = { _ in }
    var settings: (inout Deployment) -> Void = { _ in }
}

/// Runs a test's body with a harness that is set up otherwise.
func withProxy(_ topology: Topology, _ setup: HarnessSetup, _ body: (ProxyHarness) async throws -> Void) async throws {
    try await withProxy(topology, configure: setup.configure, settings: setup.settings, body)
}
