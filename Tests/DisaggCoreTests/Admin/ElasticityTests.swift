import Testing

@testable import DisaggCore

@Suite("Backends come and go under load", .serialized, .timeLimit(.minutes(3)))
struct ElasticityTests {
    private let topology = Topology(handoff: .nixl).sized(2, 2)

    /// An engine that is not in the deployment.
    private func withSpareEngine(
        _ role: SimulatedEngineConfiguration.Role, handoff: HandoffKind = .nixl,
        _ body: (SimulatedEngine, Int) async throws -> Void
    ) async throws {
        var configuration = SimulatedEngineConfiguration(role: role, handoff: handoff)
        configuration.maximumModelLength = 300
        let engine = SimulatedEngine(configuration: configuration)
        let port = try await engine.start()
        do {
            try await body(engine, port)
            await engine.shutdown()
        } catch {
            await engine.shutdown()
            throw error
        }
    }

    /// Changes the pool while requests run, and expects that none of them failed and no KV was lost.
    private func underLoad(
        _ topology: Topology = Topology(handoff: .nixl).sized(2, 2),
        configure: (inout SimulatedEngineConfiguration) -> Void = { _ in },
        settings: (inout Deployment) -> Void = { _ in },
        _ change: (AdminCaller, SteadyLoad) async throws -> Void
    ) async throws {
        try await withAdminProxy(topology, configure: configure, settings: settings) { harness, admin, _ in
            let load = SteadyLoad(harness)
            try await load.more()
            try await change(admin, load)
            try await load.more()
            await load.expectNoFailure()
            try await harness.settles()
            try await harness.expectClean()
            #expect(try await harness.metric("disagg_kv_leases_leaked_total") == "0")
            #expect(try await harness.metric("disagg_notifications_timed_out_total") == "0")
        }
    }

    /// Waits until a backend was sent a request, while requests go on.
    private func isPicked(
        _ id: String, after picks: Int, _ admin: AdminCaller, _ load: SteadyLoad
    ) async throws {
        try await eventually {
            try await load.more(6)
            return try await admin.call("GET", "/admin/v1/backends/\(id)").json?["picks"]?.int ?? 0 > picks
        }
    }

    @Test("a backend that is added gets requests, and none fails")
    func add() async throws {
        try await withSpareEngine(.decode) { spare, port in
            try await underLoad { admin, load in
                let added = try await admin.call(
                    "POST", "/admin/v1/backends", #"{"role":"decode","url":"http://127.0.0.1:\#(port)","id":"spare"}"#)
                #expect(added.status == 201)
                try await isPicked("spare", after: 0, admin, load)
            }
            #expect(try await spare.ledger().isClean)
        }
    }

    @Test("a backend that is drained ends what it has, gets nothing new until it is resumed, and no request fails")
    func drain() async throws {
        try await underLoad { admin, load in
            for id in ["decode-0", "prefill-0"] {
                let drained = try await admin.call("POST", "/admin/v1/backends/\(id)/drain?wait=60s")
                #expect(drained.status == 200)
                #expect(drained.json?["state"]?.string == "drained")
                #expect(drained.json?["in_flight"]?.int == 0)
                #expect(drained.json?["open_handoffs"]?.int == 0)
                let picks = drained.json?["picks"]?.int ?? 0
                try await load.more()
                let later = try await admin.call("GET", "/admin/v1/backends/\(id)")
                #expect(later.json?["picks"]?.int == picks)
                #expect(try await admin.call("POST", "/admin/v1/backends/\(id)/resume").status == 200)
                try await isPicked(id, after: picks, admin, load)
            }
        }
    }

    @Test("a backend that is removed is drained first, and no request fails", arguments: ["prefill-1", "decode-0"])
    func remove(id: String) async throws {
        try await underLoad { admin, load in
            let removed = try await admin.call("DELETE", "/admin/v1/backends/\(id)?wait=60s")
            #expect(removed.status == 200)
            #expect(removed.json?["state"]?.string == "removed")
            #expect(try await admin.call("GET", "/admin/v1/backends/\(id)").isOpenAIError(404))
        }
    }

    @Test("a backend that is given another weight goes on, and no request fails")
    func weigh() async throws {
        try await underLoad { admin, load in
            for weight in [0.25, 0, 1] {
                let weighed = try await admin.call(
                    "PUT", "/admin/v1/backends/decode-0/weight", "{\"weight\":\(weight)}")
                #expect(weighed.json?["weight"]?.double == weight)
                try await load.more()
            }
        }
    }

    @Test(
        "backends change their roles once they are drained, serve the other one, and no request fails",
        arguments: [HandoffKind.nixl, .plain, .lmcacheMP])
    func role(handoff: HandoffKind) async throws {
        let changes = handoff == .lmcacheMP
        func engine(_ configuration: inout SimulatedEngineConfiguration) {
            if changes { configuration.role = .both }
        }
        func deployment(_ deployment: inout Deployment) { deployment.lmcache.enginesChangeRoles = changes }
        try await underLoad(
            Topology(handoff: handoff).sized(2, 2), configure: engine, settings: deployment
        ) { admin, load in
            for (id, role) in [("decode-1", "prefill"), ("prefill-0", "decode"), ("decode-1", "decode")] {
                let changed = try await admin.call(
                    "PUT", "/admin/v1/backends/\(id)/role?wait=60s", "{\"role\":\"\(role)\"}")
                #expect(changed.status == 200)
                #expect(changed.json?["role"]?.string == role)
                #expect(changed.json?["state"]?.string == "up")
                #expect(try await admin.ids(role).contains(id))
                try await isPicked(id, after: 0, admin, load)
            }
        }
    }

    @Test("the last backend of a role is not taken away unless that is forced")
    func lastBackend() async throws {
        try await withAdminProxy(Topology(handoff: .nixl)) { _, admin, _ in
            for (method, path, body) in [
                ("POST", "/admin/v1/backends/decode-0/drain", nil), ("DELETE", "/admin/v1/backends/prefill-0", nil),
                ("PUT", "/admin/v1/backends/decode-0/role", #"{"role":"prefill"}"#),
            ] as [(String, String, String?)] {
                let refused = try await admin.call(method, path, body)
                #expect(refused.isOpenAIError(409))
                #expect(refused.json?["error"]?["message"]?.string?.contains("force") == true)
            }
            #expect(try await admin.states() == ["prefill-0": "up", "decode-0": "up"])
            #expect(try await admin.call("DELETE", "/admin/v1/backends/decode-0?force=true").status == 200)
            #expect(try await admin.ids("decode").isEmpty)
        }
    }

    @Test("an edited deployment file is taken over under load without a failed request")
    func reload() async throws {
        try await withAdminProxy(topology, isReloadable: true) { harness, admin, directory in
            let load = SteadyLoad(harness)
            try await load.more()
            var next = harness.deployment
            next.decode.urls.removeFirst()
            next.prefill.urls.reverse()
            next.proxy.prefillTimeout = .seconds(77)
            try directory.write(DeploymentWriter.yaml(next), to: "deployment.yaml")
            await harness.server.hangUp()
            let outcome = try await admin.call("GET", "/admin/v1/reload")
            #expect(outcome.json?["applied"]?.bool == true)
            #expect(outcome.json?["leaving"]?.elements.compactMap(\.string) == ["decode-0"])
            #expect(outcome.json?["added"]?.elements.isEmpty == true)
            #expect(outcome.json?["changed"]?.elements.compactMap(\.string) == ["proxy.prefillTimeout"])
            try await eventually { try await admin.ids("decode") == ["decode-1"] }
            try await load.more()
            // And back: the engine comes under the first free name.
            try directory.write(DeploymentWriter.yaml(harness.deployment), to: "deployment.yaml")
            #expect(try await admin.call("POST", "/admin/v1/reload").status == 200)
            #expect(try await admin.ids("decode").sorted() == ["decode-0", "decode-1"])
            try await load.more()
            await load.expectNoFailure()
            try await harness.settles()
            try await harness.expectClean()
        }
    }

    @Test("a watched file is taken over by itself")
    func watchedDeployment() async throws {
        try await withAdminProxy(topology, isReloadable: true, isWatched: true) { harness, admin, directory in
            var next = harness.deployment
            next.decode.urls.removeLast()
            try directory.write(DeploymentWriter.yaml(next), to: "deployment.yaml")
            try await eventually { try await admin.ids("decode") == ["decode-0"] }
        }
    }

    @Test(
        "a file that is wrong, or wants what only a restart can do, changes nothing and says why",
        arguments: [
            ("prefill: {port: 81OO}\n", "81OO"), ("handoff: lmcache\n", "cannot be changed while the proxy runs"),
            ("decode: {replicas: 0}\n", "replicas"),
        ])
    func refusedReload(yaml: String, reason: String) async throws {
        try await withAdminProxy(Topology(handoff: .nixl), isReloadable: true) { harness, admin, directory in
            try directory.write(yaml, to: "deployment.yaml")
            let refused = try await admin.call("POST", "/admin/v1/reload")
            #expect(refused.isOpenAIError(409))
            #expect(refused.json?["error"]?["message"]?.string?.contains(reason) == true, "\(refused.body)")
            let outcome = try await admin.call("GET", "/admin/v1/reload")
            #expect(outcome.json?["applied"]?.bool == false)
            #expect(outcome.json?["error"]?.string?.contains(reason) == true)
            #expect(try await admin.states() == ["prefill-0": "up", "decode-0": "up"])
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("after a refused file"))
        }
    }
}
