import NIOPosix
import Testing

@testable import DisaggCore

/// LMCache notifications that are lost, late, doubled, unknown or early never hang a client, spoil an answer or leak KV.
@Suite("Notification faults", .serialized, .timeLimit(.minutes(3)))
struct NotificationFaultTests {
    private static let modes: [Topology] = [
        .init(handoff: .lmcache), .init(handoff: .lmcache, firstToken: .prefill),
        .init(handoff: .lmcache, ranks: 2), .init(handoff: .lmcache, firstToken: .prefill, ranks: 2),
    ]

    private static func body(_ name: String) -> String {
        ProxyHarness.completion(name, #""max_tokens":6,"temperature":0,"ignore_eos":true"#)
    }

    @Test("every rank's notification is waited for", arguments: modes)
    func ranks(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            for index in 0..<10 { try await harness.expectRight("/v1/completions", Self.body("rank \(index)")) }
            try await harness.settles()
            try await harness.expectClean()
            let ledger = try await harness.decode[0].ledger()
            // Half a character as first token is the decoder's own work.
            #expect(ledger.hits >= 5 && (ledger.misses == 0 || topology.firstToken == .prefill), "\(ledger)")
            #expect(try await harness.metric("disagg_notifications_timed_out_total") == "0")
        }
    }

    @Test("of two ranks one notification is not enough")
    func oneOfTwo() async throws {
        let topology = Topology(handoff: .lmcache, ranks: 2)
        try await withProxy(topology, .init(settings: { $0.proxy.notificationTimeout = .milliseconds(300) })) {
            harness in
            try await harness.prefill[0].inject(.with { $0.dropNotifications = 1 })
            try await harness.expectRight("/v1/completions", Self.body("one of two"))
            #expect(try await harness.metric("disagg_notifications_timed_out_total") == "1")
            try await harness.expectClean()
        }
    }

    @Test("one rank that notifies twice is still one rank")
    func duplicateOfOneRank() async throws {
        let topology = Topology(handoff: .lmcache, ranks: 2)
        try await withProxy(topology, .init(settings: { $0.proxy.notificationTimeout = .milliseconds(300) })) {
            harness in
            // Two notifications come, both from the rank that is left; the other's is dropped.
            try await harness.prefill[0].inject(
                .with {
                    $0.dropNotifications = 1
                    $0.duplicateNotifications = 1
                })
            try await harness.expectRight("/v1/completions", Self.body("twice one"))
            #expect(try await harness.metric("disagg_notifications_timed_out_total") == "1")
            try await harness.expectClean()
        }
    }

    @Test("an MLA model's only storing rank notifies once")
    func latentAttention() async throws {
        let topology = Topology(handoff: .lmcache, ranks: 2)
        try await withProxy(
            topology,
            .init(
                configure: { $0.storesOnFirstRankOnly = true },
                settings: { $0.lmcache.storesOnFirstRankOnly = true })
        ) { harness in
            for index in 0..<5 { try await harness.expectRight("/v1/completions", Self.body("mla \(index)")) }
            #expect(try await harness.metric("disagg_notifications_timed_out_total") == "0")
            try await harness.expectClean()
        }
    }

    @Test("a lost notification delays the answer until its deadline, and spoils nothing", arguments: modes)
    func lost(topology: Topology) async throws {
        try await withProxy(topology, .init(settings: { $0.proxy.notificationTimeout = .milliseconds(200) })) {
            harness in
            try await harness.prefill[0].inject(.with { $0.dropNotifications = 3 * topology.ranks })
            for index in 0..<3 { try await harness.expectRight("/v1/completions", Self.body("lost \(index)")) }
            try await harness.expectClean()
        }
    }

    @Test("a late notification: the answer does not wait for it, its KV is freed", arguments: modes)
    func late(topology: Topology) async throws {
        try await withProxy(
            topology,
            .init(
                configure: { configuration in
                    // One chunk of KV at most: the pages of one request would block every later one.
                    configuration.bufferChunks = 1
                },
                settings: { $0.proxy.notificationTimeout = .milliseconds(200) })
        ) { harness in
            try await harness.prefill[0].inject(.with { $0.delayNotification = 700 })
            for index in 0..<3 { try await harness.expectRight("/v1/completions", Self.body("late \(index)")) }
            try await harness.settles()
            try await harness.expectClean()
            try await harness.prefill[0].inject(SimulatedFaults())
            try await harness.expectRight("/v1/completions", Self.body("in time"))
            try await harness.expectClean()
        }
    }

    @Test("notifications sent twice change nothing", arguments: modes)
    func duplicates(topology: Topology) async throws {
        try await withProxy(topology) { harness in
            try await harness.prefill[0].inject(.with { $0.duplicateNotifications = 1000 })
            for index in 0..<10 { try await harness.expectRight("/v1/completions", Self.body("double \(index)")) }
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("unknown and forged ids change nothing, however many come")
    func unknown() async throws {
        try await withProxy(.init(handoff: .lmcache)) { harness in
            let sender = NotificationSender(
                host: "localhost", port: harness.notifyPort ?? 0, group: MultiThreadedEventLoopGroup.singleton)
            let ids = ["", "1", "ffff" + String(repeating: "0", count: 32), String(repeating: "é", count: 18)]
            for index in 0..<400 {
                sender.send(requestID: ids[index % 4])
                sender.send(requestID: "0000" + String(repeating: "\(index % 10)", count: 32))
            }
            for index in 0..<5 { try await harness.expectRight("/v1/completions", Self.body("forged \(index)")) }
            try await eventually {
                try await harness.metric("disagg_notifications_unknown_total").flatMap { Int($0) } ?? 0 >= 400
            }
            try await harness.expectClean()
            await sender.shutdown()
        }
    }

    @Test("a prefill whose answer never comes after its notification is freed", arguments: [1, 2])
    func diesAfterNotifying(ranks: Int) async throws {
        let topology = Topology(handoff: .lmcache, prefill: 2, ranks: ranks)
        try await withProxy(topology, .init(settings: { $0.proxy.notificationTimeout = .milliseconds(300) })) {
            harness in
            for engine in harness.prefill { try await engine.inject(.with { $0.dieAfterTokens = 1 }) }
            let body = Self.body("a short life")
            let expected = NormalizedAnswer(try await harness.direct.post("/v1/completions", body))
            #expect(NormalizedAnswer(try await harness.proxy.post("/v1/completions", body)) == expected)
            try await harness.settles()
            try await harness.expectClean(except: harness.prefill)
        }
    }

    @Test("a notification that comes after its prefill broke still frees the KV")
    func strayAfterBreak() async throws {
        // The prefill engine answers 500 by hand; its KV was stored and its notification comes afterwards.
        let broken = try await ScriptedEngine(
            ["HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}"], closes: false, keepsBodies: true)
        try await withProxy(
            .init(handoff: .lmcache),
            .init(settings: { $0.prefill.urls.insert(Endpoint(host: "127.0.0.1", port: broken.port), at: 0) })
        ) { harness in
            let body = Self.body("a stray")
            try await harness.expectRight("/v1/completions", body)
            let sent = try #require(broken.bodies.first { $0.contains("req_id") })
            let leg = try JSONView(parsing: sent)
            let id = try #require(leg["kv_transfer_params"]?["disagg_spec"]?["req_id"]?.string)
            let before = try await harness.decode[0].receivedRequests().total
            let sender = NotificationSender(
                host: "localhost", port: harness.notifyPort ?? 0, group: MultiThreadedEventLoopGroup.singleton)
            sender.send(requestID: id)
            try await eventually { try await harness.decode[0].receivedRequests().total == before + 1 }
            let release = try JSONView(parsing: try await harness.decode[0].receivedRequests().bodies.last ?? "")
            #expect(release["max_tokens"]?.int == 1 && release["prompt"]?.string == leg["prompt"]?.string)
            // Freed once: another notification finds nothing to do.
            sender.send(requestID: id)
            try await eventually { try await harness.metric("disagg_notifications_unknown_total") == "1" }
            #expect(try await harness.decode[0].receivedRequests().total == before + 1)
            await sender.shutdown()
            try await harness.expectClean()
        }
        await broken.shutdown()
    }

    @Test("a decoder rejects the request after the prefill: nothing stays behind", arguments: Topology.everyHandoff)
    func rejectedAfterPrefill(topology: Topology) async throws {
        try await withProxy(topology, .init(configure: { if $0.role == .prefill { $0.maximumModelLength = 100_000 } }))
        {
            harness in
            for isStream in [false, true] {
                // The prefill engine sees a limit of 1; only the decoder finds it too large.
                let body = ProxyHarness.completion("too much", #""max_tokens":9000,"stream":\#(isStream)"#)
                let answer = try await harness.proxy.post("/v1/completions", body)
                #expect(answer.isOpenAIError(400), "\(answer)")
                #expect(
                    NormalizedAnswer(answer)
                        == NormalizedAnswer(try await harness.direct.post("/v1/completions", body)))
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}
