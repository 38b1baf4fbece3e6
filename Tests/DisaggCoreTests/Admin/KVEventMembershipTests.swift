import Testing

@testable import DisaggCore

/// Whose KV events are listened to while backends come and go.
@Suite("KV events of backends that come and go", .serialized, .timeLimit(.minutes(2)))
struct KVEventMembershipTests {
    private func engine() async throws -> (EventEngine, Endpoint) {
        let engine = EventEngine()
        return (engine, Endpoint(host: "127.0.0.1", port: try await engine.listen(.pub)))
    }

    private static func following(_ events: Endpoint) -> (inout Deployment) -> Void {
        {
            $0.routing.prefill.policy = .kvEvents
            $0.routing.prefill.kvEvents = [events]
        }
    }

    @Test("the admin API adds an engine with its events, and takes both away")
    func admin() async throws {
        let (first, firstEvents) = try await engine()
        let (second, secondEvents) = try await engine()
        try await withAdminProxy(
            Topology(handoff: .nixl), settings: Self.following(firstEvents)
        ) { _, admin, _ in
            try await eventually { first.listeners == 1 }
            let added = try await admin.call(
                "POST", "/admin/v1/backends",
                #"{"role":"prefill","url":"http://127.0.0.1:1","id":"spare","kv_events":"\#(secondEvents)"}"#)
            #expect(added.status == 201, "\(added)")
            #expect(added.json?["kv_events"]?.string == "\(secondEvents)")
            try await eventually { second.listeners == 1 }
            #expect(try await admin.call("DELETE", "/admin/v1/backends/spare?wait=60s").status == 200)
            try await eventually { second.listeners == 0 }
            #expect(first.listeners == 1)
            let wrong = try await admin.call(
                "POST", "/admin/v1/backends", #"{"role":"prefill","url":"http://127.0.0.1:1","kv_events":"nowhere"}"#)
            #expect(wrong.isOpenAIError(400) && wrong.body.contains("kv_events"), "\(wrong)")
        }
        await first.stop()
        await second.stop()
    }

    @Test("an edited deployment file brings the events of the engines that it adds")
    func reload() async throws {
        let (first, firstEvents) = try await engine()
        let (second, secondEvents) = try await engine()
        try await withAdminProxy(
            Topology(handoff: .nixl), settings: Self.following(firstEvents), isReloadable: true
        ) { harness, admin, directory in
            try await eventually { first.listeners == 1 }
            var next = harness.deployment
            next.prefill.urls.append(Endpoint(host: "127.0.0.1", port: 1))
            next.prefill.transfer.explicit = []
            next.routing.prefill.kvEvents.append(secondEvents)
            try directory.write(DeploymentWriter.yaml(next), to: "deployment.yaml")
            let outcome = try await admin.call("POST", "/admin/v1/reload")
            #expect(outcome.status == 200, "\(outcome)")
            try await eventually { second.listeners == 1 }
            try directory.write(DeploymentWriter.yaml(harness.deployment), to: "deployment.yaml")
            #expect(try await admin.call("POST", "/admin/v1/reload").status == 200)
            try await eventually { second.listeners == 0 }
            #expect(first.listeners == 1)
        }
        await first.stop()
        await second.stop()
    }

    @Test("an engine that is found is looked for at the first one's ports, unless the list says where")
    func found() throws {
        var deployment = Deployment()
        deployment.routing.prefill.kvEvents = [Endpoint(host: "10.0.0.1", port: 5557)]
        deployment.routing.prefill.kvReplay = [Endpoint(host: "10.0.0.1", port: 5558)]
        let found = deployment.backend(.prefill, at: Endpoint(host: "10.0.0.9", port: 8100))
        #expect(found.kvEvents?.publishes == Endpoint(host: "10.0.0.9", port: 5557))
        #expect(found.kvEvents?.replays == Endpoint(host: "10.0.0.9", port: 5558))
        #expect(deployment.backend(.decode, at: Endpoint(host: "10.0.0.9", port: 8100)).kvEvents == nil)
        let list = try BackendListFile(
            yaml: "prefill: [{url: 10.0.0.9:8100, events: 10.0.0.9:6000, replay: 10.0.0.9:6001}]", fileName: "list")
        #expect(
            list.entries.first?.kvEvents
                == KVEventAddress(
                    publishes: Endpoint(host: "10.0.0.9", port: 6000), replays: Endpoint(host: "10.0.0.9", port: 6001)))
    }
}
