import NIOCore
import Testing

@testable import DisaggCore

/// Engines that die, refuse or hang: the client gets the right answer where another engine is alive, a clear error where
/// none is, and never a malformed one.
@Suite("Dying engines", .timeLimit(.minutes(3)))
struct DyingEngineTests {
    private static let handoffs = Topology.everyHandoff.filter { $0.handoff != .none }

    @Test("a dead prefill engine is skipped at once", arguments: handoffs.map { $0.sized(2, 1) })
    func deadPrefill(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            let port = try await harness.prefill[0].kill()
            defer { withExtendedLifetime(port) {} }
            for index in 0..<5 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("prince \(index)"))
            }
            try await harness.settles()
            let served = try await harness.servedByReason()
            #expect(served.values.reduce(0, +) == 5 && served["prefill-failed"] == nil, "\(served)")
            try await harness.expectClean(except: [harness.prefill[0]])
        }
    }

    @Test("with every prefill engine dead the decoder answers alone", arguments: handoffs.map { $0.sized(2, 1) })
    func allPrefillDead(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            var ports: [HeldPort] = []
            defer { withExtendedLifetime(ports) {} }
            for engine in harness.prefill { ports.append(try await engine.kill()) }
            for index in 0..<4 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("prince \(index)"))
                try await harness.expectRight("/v1/chat/completions", ProxyHarness.chat("prince \(index)"))
            }
            try await harness.expectClean(except: harness.prefill)
        }
    }

    @Test(
        "a prefill engine that dies in the middle of a request is replaced", arguments: handoffs.map { $0.sized(2, 1) })
    func prefillDiesInTheMiddle(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for engine in harness.prefill { try await engine.inject(.with { $0.holdPrefills = true }) }
            let body = ProxyHarness.completion("a king")
            async let answer = harness.proxy.post("/v1/completions", body)
            try await eventually { try await harness.prefill[0].load() == 1 }
            try await harness.prefill[1].inject(.with { $0.holdPrefills = false })
            try await harness.prefill[0].inject(.with { $0.die = true })
            let expected = NormalizedAnswer(try await harness.direct.post("/v1/completions", body))
            #expect(NormalizedAnswer(try await answer) == expected)
            try await harness.settles()
            try await harness.expectClean(except: [harness.prefill[0]])
        }
    }

    @Test(
        "an LMCache prefill engine whose core died (fixture 30) is replaced",
        arguments: [FirstTokenSource.decode, .prefill])
    func engineCoreDied(firstToken: FirstTokenSource) async throws {
        let topology = Topology(handoff: .lmcache, firstToken: firstToken, prefill: 2)
        // The server outlives the core long enough for every request to meet its 500s.
        try await withProxy(topology, .init(configure: { $0.deathDelay = .seconds(30) })) { harness in
            let killer = RawHTTPClient(port: harness.prefill[0].ports?.http ?? 0)
            #expect(try await killer.post("/v1/completions", ProxyHarness.completion("a killer")).status == 500)
            for index in 0..<5 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("prince \(index)"))
            }
            try await harness.expectClean(except: [harness.prefill[0]])
        }
    }

    @Test(
        "a prefill engine that refuses for a while costs no client an answer", arguments: handoffs, [429, 503])
    func prefillRefuses(topology: Topology, status: Int) async throws {
        try await withProxy(topology.sized(2, 1)) { harness in
            try await harness.prefill[0].inject(
                .with {
                    $0.refuse = 3
                    $0.refuseStatus = status
                })
            for index in 0..<5 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("queen \(index)"))
            }
            try await harness.expectClean()
        }
    }

    @Test(
        "a decoder that refuses for a while costs no client an answer", arguments: Topology.everyHandoff,
        [429, 503])
    func decodeRefuses(topology: Topology, status: Int) async throws {
        try await withProxy(topology.sized(1, 2)) { harness in
            try await harness.decode[0].inject(
                .with {
                    $0.refuse = 4
                    $0.refuseStatus = status
                })
            for index in 0..<5 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("queen \(index)"))
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("a decoder that always refuses is not asked twice by one request", arguments: Topology.everyHandoff)
    func decodeAlwaysRefuses(topology: Topology) async throws {
        try await withProxy(topology.sized(1, 2)) { harness in
            // Enough for every request; a throw-away decode is refused too, so nothing is said about its KV here.
            try await harness.decode[0].inject(.with { $0.refuse = 10_000 })
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<24 {
                    group.addTask {
                        try await harness.expectRight("/v1/completions", ProxyHarness.completion("queen \(index)"))
                    }
                }
                try await group.waitForAll()
            }
            try await harness.decode[0].inject(.with { $0.refuse = 0 })
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("the only decoder's refusal is passed on as it came", arguments: Topology.everyHandoff, [429, 503])
    func onlyDecoderRefuses(topology: Topology, status: Int) async throws {
        try await withProxy(topology) { harness in
            try await harness.decode[0].inject(
                .with {
                    $0.refuse = 1
                    $0.refuseStatus = status
                })
            let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("a queen"))
            #expect(answer.isOpenAIError(status), "\(answer)")
            #expect(answer.body.contains("refused by an injected fault"))
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("a dead decoder is skipped at once", arguments: Topology.everyHandoff.map { $0.sized(1, 2) })
    func deadDecode(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            let port = try await harness.decode[0].kill()
            defer { withExtendedLifetime(port) {} }
            for index in 0..<5 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("prince \(index)"))
            }
            try await harness.expectClean(except: [harness.decode[0]])
        }
    }

    @Test(
        "four dead decoders of five cost the first client nothing",
        arguments: Topology.everyHandoff.map { $0.sized(1, 5) })
    func manyDead(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            var ports: [HeldPort] = []
            defer { withExtendedLifetime(ports) {} }
            for engine in harness.decode.dropLast() { ports.append(try await engine.kill()) }
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("the last one"))
            try await harness.expectClean(except: harness.decode.dropLast())
        }
    }

    @Test(
        "a decoder that dies before its first byte is replaced", arguments: Topology.everyHandoff.map { $0.sized(1, 2) }
    )
    func decodeDiesBeforeHead(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for isStream in [false, true] {
                for engine in harness.decode { try await engine.inject(.with { $0.holdDecodes = true }) }
                let victim = harness.decode[0]
                let body = ProxyHarness.completion("a duke", #""max_tokens":8,"temperature":0,"stream":\#(isStream)"#)
                async let answer = harness.proxy.post("/v1/completions", body)
                try await eventually { try await victim.load() + harness.decode[1].load() == 1 }
                guard try await victim.load() == 1 else {
                    try await harness.decode[1].inject(.with { $0.holdDecodes = false })
                    _ = try await answer
                    continue
                }
                try await harness.decode[1].inject(.with { $0.holdDecodes = false })
                try await victim.inject(.with { $0.die = true })
                let actual = try await answer
                // A first token that the client has makes another decoder impossible.
                if isStream, topology.firstToken == .prefill {
                    #expect(actual.isBrokenStream, "\(actual)")
                } else {
                    let expected = NormalizedAnswer(try await harness.direct.post("/v1/completions", body))
                    #expect(NormalizedAnswer(actual) == expected)
                }
                break
            }
            try await harness.settles()
            try await harness.expectClean(except: [harness.decode[0]])
        }
    }

    @Test("the only decoder dies: 502 in one piece, an error event in a stream", arguments: Topology.everyHandoff)
    func onlyDecoderDies(topology: Topology) async throws {
        for path in ["/v1/completions", "/v1/chat/completions"] {
            for isStream in [false, true] {
                try await withProxy(topology) { harness in
                    try await harness.decode[0].inject(.with { $0.dieAfterTokens = 5 })
                    let members = #""max_tokens":60,"ignore_eos":true,"temperature":0,"stream":\#(isStream)"#
                    let body =
                        path == "/v1/completions"
                        ? ProxyHarness.completion("an earl", members) : ProxyHarness.chat("an earl", members)
                    let answer = try await harness.proxy.post(path, body)
                    if answer.status == 200 {
                        #expect(isStream && answer.isBrokenStream, "\(answer)")
                        let whole = try await harness.direct.post(path, body).streamedText
                        #expect(whole.hasPrefix(answer.streamedText), "\(answer.streamedText)")
                    } else {
                        // It may die before anything of its stream left it.
                        // A connection used before and closed without a byte is tried anew: it is refused then.
                        #expect(answer.isOpenAIError(502) || answer.isOpenAIError(503), "\(answer)")
                    }
                    let port = try await HeldPort(harness.decode[0].ports?.http ?? 0)
                    defer { withExtendedLifetime(port) {} }
                    let next = try await harness.proxy.post(path, body)
                    #expect(next.isOpenAIError(503), "\(next)")
                    #expect(next.body.contains("decode-0"), "\(next.body)")
                    try await harness.expectClean(except: harness.decode)
                }
            }
        }
    }

    @Test(
        "all engines dead: 503 that says so; both back again: used again",
        arguments: [Topology(handoff: .nixl), .init(handoff: .plain), .init(handoff: .none)])
    func allDeadAndBack(topology: Topology) async throws {
        try await withProxy(topology.sized(2, 2)) { harness in
            let all = harness.prefill + harness.decode
            var ports: [HeldPort] = []
            for engine in all { ports.append(try await engine.kill()) }
            for _ in 0..<3 {
                let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("nobody"))
                #expect(answer.isOpenAIError(503), "\(answer)")
                #expect(answer.body.contains("connection refused"), "\(answer.body)")
            }
            let models = try await harness.proxy.get("/v1/models")
            #expect(models.isOpenAIError(503), "\(models)")
            ports = []
            var revived: [SimulatedEngine] = []
            for engine in all {
                var configuration = engine.configuration
                configuration.port = engine.ports?.http ?? 0
                revived.append(SimulatedEngine(configuration: configuration))
                try await revived[revived.count - 1].start()
            }
            for index in 0..<4 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("all \(index)"))
            }
            // Those that refused stay out for one second.
            try await eventually {
                try await harness.expectRight(
                    "/v1/completions", ProxyHarness.completion("all \(ContinuousClock.now)"))
                for engine in revived where topology.handoff != .none || engine.configuration.role == .decode {
                    if try await engine.receivedRequests().total == 0 { return false }
                }
                return true
            }
            for engine in revived { await engine.shutdown() }
        }
    }

    @Test("a prefill engine that hangs: 504 in time, and the engine is not harmed", arguments: handoffs)
    func prefillHangs(topology: Topology) async throws {
        try await withProxy(topology, .init(settings: { $0.proxy.prefillTimeout = .seconds(1) })) { harness in
            let engine = harness.prefill[0]
            try await engine.inject(.with { $0.holdPrefills = true })
            let answer = try await harness.proxy.post("/v1/completions", ProxyHarness.completion("a sloth"))
            #expect(answer.isOpenAIError(504), "\(answer)")
            #expect(answer.body.contains("prefill-0"))
            try await engine.inject(.with { $0.holdPrefills = false })
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("a decoder that hangs: 504 in time, or an error event", arguments: Topology.everyHandoff)
    func decodeHangs(topology: Topology) async throws {
        try await withProxy(topology, .init(settings: { $0.proxy.decodeIdleTimeout = .seconds(1) })) { harness in
            let engine = harness.decode[0]
            for isStream in [false, true] {
                try await engine.inject(.with { $0.holdDecodes = true })
                let answer = try await harness.proxy.post(
                    "/v1/completions", ProxyHarness.completion("a sloth", #""max_tokens":8,"stream":\#(isStream)"#))
                if answer.status == 200, isStream, topology.firstToken == .prefill {
                    #expect(answer.isBrokenStream, "\(answer)")
                } else {
                    #expect(answer.isOpenAIError(504), "\(answer)")
                    #expect(answer.body.contains("decode-0"))
                }
                try await engine.inject(.with { $0.holdDecodes = false })
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test(
        "a decoder that never answers anything hangs no client that asks for models or a chat",
        arguments: [FirstTokenSource.decode, .prefill])
    func everythingHangs(firstToken: FirstTokenSource) async throws {
        let silent = try await ScriptedEngine([], closes: false)
        let topology = Topology(handoff: .lmcache, firstToken: firstToken)
        try await withProxy(
            topology,
            .init(settings: {
                $0.decode.urls = [Endpoint(host: "127.0.0.1", port: silent.port)]
                $0.prefill.urls = [Endpoint(host: "127.0.0.1", port: silent.port)]
                $0.proxy.connectTimeout = .milliseconds(300)
                $0.proxy.prefillTimeout = .milliseconds(300)
                $0.proxy.decodeIdleTimeout = .milliseconds(300)
            })
        ) { harness in
            #expect(try await harness.proxy.get("/v1/models").isOpenAIError(503))
            let chat = try await harness.proxy.post(
                "/v1/chat/completions", ProxyHarness.chat("silence", #""stream":true"#))
            #expect(chat.isOpenAIError(504), "\(chat)")
        }
        await silent.shutdown()
    }

    @Test(
        "an engine that breaks HTTP or ends too soon: 502 in the OpenAI shape",
        arguments: [
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", "",
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ])
    func malformed(bytes: String) async throws {
        let engine = try await ScriptedEngine([bytes], closes: true)
        try await withProxy(
            .init(handoff: .none),
            .init(settings: { $0.decode.urls = [Endpoint(host: "127.0.0.1", port: engine.port)] })
        ) { harness in
            for isStream in [false, true] {
                let answer = try await harness.proxy.post(
                    "/v1/completions", ProxyHarness.completion("x", #""stream":\#(isStream)"#))
                #expect(answer.isOpenAIError(502), "\(answer)")
            }
        }
        await engine.shutdown()
    }

    @Test(
        "an engine that dies in the middle of an event: the client sees whole events only",
        arguments: [
            "HTTP/1.1", "HTTP/1.0",
        ])
    func halfEvent(version: String) async throws {
        let event = #"data: {"choices":[{"index":0,"text":"one"}]}"# + "\n\n"
        let half = #"data: {"choices":[{"index":0,"te"#
        func chunk(_ text: String) -> String { String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n" }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        let engine = try await ScriptedEngine([head + chunk(event) + chunk(half)], closes: true)
        try await withProxy(
            .init(handoff: .none),
            .init(settings: { $0.decode.urls = [Endpoint(host: "127.0.0.1", port: engine.port)] })
        ) { harness in
            let connection = try await RawConnection(port: harness.proxy.port)
            let body = ProxyHarness.completion("x", #""stream":true"#)
            try await connection.send(
                RawHTTPClient.request("POST", "/v1/completions", body: body)
                    .replacing("HTTP/1.1", with: version, maxReplacements: 1))
            // Without chunks an HTTP/1.0 answer ends with its connection.
            let bytes = SharedBytes()
            let answer = await connection.read {
                bytes.set($0)
                return false
            }
            let text = version == "HTTP/1.0" ? bytes.body : answer.body
            let parts = text.components(separatedBy: "\n\n")
            #expect(parts.count == 4 && parts[0] + "\n\n" == event && parts[2] == "data: [DONE]", "\(parts)")
            for part in parts.prefix(2) {
                #expect((try? JSONView(parsing: String(part.dropFirst(6)))) != nil, "\(part)")
            }
            await connection.close()
        }
        await engine.shutdown()
    }
}
