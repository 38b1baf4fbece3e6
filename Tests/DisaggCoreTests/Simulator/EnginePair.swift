import Testing

@testable import DisaggCore

/// A prefill and a decode engine of one hand-off, asked by hand as a router asks them, and an engine alone to compare with.
struct EnginePair {
    let prefillEngine: SimulatedEngine
    let decodeEngine: SimulatedEngine
    let prefill: RawHTTPClient
    let decode: RawHTTPClient
    let alone: RawHTTPClient
    private let aloneEngine: SimulatedEngine

    /// A prompt of 40 tokens: three blocks of vLLM's.
    static let prompt = Array(repeating: 72, count: 40)
    static let blocks = 3

    init(_ handoff: HandoffKind, _ configure: (inout SimulatedEngineConfiguration) -> Void = { _ in }) async throws {
        func engine(_ role: SimulatedEngineConfiguration.Role, _ handoff: HandoffKind) -> SimulatedEngine {
            var configuration = SimulatedEngineConfiguration(role: role, handoff: handoff)
            configuration.endProbability = 0
            configuration.engineID = role == .prefill ? "prefill-0" : nil
            if role != .both { configure(&configuration) }
            return SimulatedEngine(configuration: configuration)
        }
        prefillEngine = engine(.prefill, handoff)
        decodeEngine = engine(.decode, handoff)
        aloneEngine = engine(.both, .none)
        prefill = RawHTTPClient(port: try await prefillEngine.start())
        decode = RawHTTPClient(port: try await decodeEngine.start())
        alone = RawHTTPClient(port: try await aloneEngine.start())
    }

    func shutdown() async { for engine in [prefillEngine, decodeEngine, aloneEngine] { await engine.shutdown() } }

    /// A completion of the usual prompt.
    static func body(_ members: String..., tokens: Int = 5) -> String {
        let all = [#""prompt":\#(prompt)"#, #""max_tokens":\#(tokens)"#, #""temperature":0"#] + members
        return "{\(all.joined(separator: ","))}"
    }

    /// The member `kv_transfer_params` around an object's members.
    static func transfer(_ members: String) -> String { #""kv_transfer_params":{\#(members)}"# }

    /// The text that one engine alone answers with.
    func text(tokens: Int = 5) async throws -> String? {
        try await alone.post("/v1/completions", Self.body(tokens: tokens)).json?["choices"]?[0]?["text"]?.string
    }

    /// Both ledgers, prefill first.
    func ledgers() async throws -> [KVLedger] { [try await prefillEngine.ledger(), try await decodeEngine.ledger()] }

    /// Waits until neither engine holds KV.
    func settle() async throws {
        try await eventually { try await ledgers().allSatisfy { $0.held == 0 } }
    }

    /// Expects both engines to live, nothing held, leaked, freed twice or out of order.
    func expectClean(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await settle()
        for ledger in try await ledgers() {
            #expect(ledger.isClean && !ledger.dead, "\(ledger)", sourceLocation: sourceLocation)
        }
    }
}

extension EnginePair {
    /// Sends both legs of one hand-off in either order, and expects the decoder to answer what one engine alone answers, with
    /// the KV of the prefill engine, of which nothing remains.
    ///
    /// - Parameters:
    ///   - decodeFirst: whether the decoder has asked for its KV before the prefill is sent.
    ///   - body: the decode leg's.
    ///   - isWaiting: whether the decoder's ledger shows that it waits.
    ///   - arrives: awaited between the prefill and a decode that comes second.
    ///   - prefill: sends the prefill leg and checks its answer.
    func handOff(
        decodeFirst: Bool, _ body: String, headers: [String] = [],
        isWaiting: @escaping (KVLedger) -> Bool = { $0.held == EnginePair.blocks },
        arrives: () async throws -> Void = {}, sourceLocation: SourceLocation = #_sourceLocation,
        prefill: () async throws -> Void
    ) async throws {
        let connection = try await RawConnection(port: decode.port)
        let request = RawHTTPClient.request("POST", "/v1/completions", body: body, headers: headers)
        if decodeFirst {
            try await connection.send(request)
            try await eventually { isWaiting(try await decodeEngine.ledger()) }
        }
        try await prefill()
        if !decodeFirst {
            try await arrives()
            try await connection.send(request)
        }
        let answered = await connection.read().text
        let expected = try await text()
        #expect(answered == expected, sourceLocation: sourceLocation)
        await connection.close()
        try await expectClean(sourceLocation: sourceLocation)
        let hits = try await decodeEngine.ledger().hits
        #expect(hits == 1, sourceLocation: sourceLocation)
    }
}

/// How a test's engines differ from the default.
struct EngineSetup {
    let configure: (inout SimulatedEngineConfiguration) -> Void

    init(_ configure: @escaping (inout SimulatedEngineConfiguration) -> Void) { self.configure = configure }
}

/// Runs a test's body with two engines and stops them after it.
func withPair(
    _ handoff: HandoffKind, _ setup: EngineSetup = EngineSetup { _ in },
    _ body: (EnginePair) async throws -> Void
) async throws {
    let pair = try await EnginePair(handoff, setup.configure)
    do {
        try await body(pair)
        await pair.shutdown()
    } catch {
        await pair.shutdown()
        throw error
    }
}

extension RawResponse {
    /// The first choice's text.
    var text: String? { json?["choices"]?[0]?["text"]?.string }
}

extension RawHTTPClient {
    /// Posts a completion with headers of a router.
    func complete(_ body: String, id: String? = nil, rank: Int? = nil, headers: [String] = []) async throws
        -> RawResponse
    {
        var all = headers
        if let id { all.append("X-Request-Id: \(id)") }
        if let rank { all.append("X-data-parallel-rank: \(rank)") }
        return try await send("POST", "/v1/completions", body: body, headers: all)
    }
}
