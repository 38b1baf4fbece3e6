import Testing

@testable import DisaggCore

@Suite("ctl", .serialized, .timeLimit(.minutes(2)))
struct CtlTests {
    @Test("each command is the request that the API describes")
    func requests() throws {
        #expect(AdminRequestLine.list.target == "/admin/v1/backends")
        let remove = try AdminRequestLine.remove("a/b", wait: "30s", isForced: true)
        #expect(remove.method == "DELETE" && remove.target == "/admin/v1/backends/a%2Fb?wait=30s&force=true")
        #expect(remove.patience == .seconds(30))
        let add = try AdminRequestLine.add(
            role: "decode", url: "http://h:1", id: nil, weight: nil, initPorts: "7300, 7301", allocPorts: "7400,7401")
        #expect(
            add.body
                == #"{"role":"decode","url":"http://h:1","receiver":{"init_ports":[7300,7301],"alloc_ports":[7400,7401]}}"#
        )
        #expect(throws: CommandError.self) { try AdminRequestLine.drain("x", wait: "soon", isForced: false) }
        #expect(throws: CommandError.self) {
            try AdminRequestLine.add(role: "decode", url: "u", id: nil, weight: nil, initPorts: "0", allocPorts: nil)
        }
        let lines = [.list, .reload, remove, add, .resume("x"), .weight("x", 0.5)] as [AdminRequestLine]
        for line in lines {
            let path = line.target.prefix { $0 != "?" }
            let route = AdminRoute.find(method: line.method, path: path)
            #expect(route != .notFound && route != .methodNotAllowed(allowed: ""), "\(line.target)")
        }
    }

    @Test("it changes a running proxy, shows tables, and repeats the proxy's own words where it refuses")
    func running() async throws {
        try await withAdminProxy(Topology(handoff: .nixl).sized(2, 1)) { harness, _, directory in
            let address = "http://127.0.0.1:\(harness.admin.port)"
            let client = try AdminClient(admin: address, tokenFile: directory.path + "/token")
            let drained = try await client.send(try .drain("prefill-1", wait: "30s", isForced: false))
            #expect(drained.view["state"]?.string == "drained")
            let table = AdminTable.text(try await client.send(.list).view)
            let rows = table.split(separator: "\n").map { $0.split(separator: " ", omittingEmptySubsequences: true) }
            #expect(rows.map { $0[0] } == ["ID", "prefill-0", "prefill-1", "decode-0"])
            #expect(rows.map { $0[3] } == ["STATE", "up", "drained", "up"])
            let refused = await #expect(throws: CommandError.self) {
                try await client.send(try .remove("decode-0", wait: nil, isForced: false))
            }
            #expect(refused?.description.contains("last decode backend") == true && refused?.exitStatus == 1)
            let stranger = try AdminClient(admin: address, tokenFile: try directory.write("wrong\n", to: "other"))
            let denied = await #expect(throws: CommandError.self) { try await stranger.send(.list) }
            #expect(denied?.description.contains("token") == true && denied?.description.contains("wrong") == false)
            let noSource = await #expect(throws: CommandError.self) { try await client.send(.reload) }
            #expect(noSource?.description.contains("without a deployment file") == true)
        }
    }

    @Test("an address that nobody serves is an error that says so")
    func unreachable() async throws {
        #expect(throws: CommandError.self) { try AdminClient(admin: "nowhere", tokenFile: nil) }
        let client = try AdminClient(admin: "http://127.0.0.1:1", tokenFile: nil)
        let error = await #expect(throws: CommandError.self) { try await client.send(.list) }
        #expect(error?.description.contains("is the proxy running?") == true && error?.exitStatus == 1)
    }
}
