import Testing

@testable import DisaggCore

@Suite("Admin routes")
struct AdminRouteTests {
    @Test("every route is found, and escapes in a backend's id are read")
    func finding() {
        #expect(AdminRoute.find(method: "GET", path: "/") == .page)
        #expect(AdminRoute.find(method: "DELETE", path: "/admin/v1/backends/a%2Fb") == .removeBackend("a/b"))
        #expect(
            AdminRoute.find(method: "PUT", path: "/admin/v1/backends/decode-[::1]:80/role")
                == .setRole("decode-[::1]:80"))
        #expect(AdminRoute.find(method: "GET", path: "/admin/v1/backends/") == .notFound)
        #expect(AdminRoute.find(method: "GET", path: "/admin/v1/backends/%zz") == .notFound)
        #expect(
            AdminRoute.find(method: "GET", path: "/admin/v1/backends/a/drain") == .methodNotAllowed(allowed: "POST"))
        for route in AdminRoute.all {
            for method in route.methods {
                let path = Substring(route.path.replacing("{id}", with: "x"))
                let found = AdminRoute.find(method: method, path: path)
                #expect(found != .notFound, "\(method) \(path)")
                #expect(found.isChange == (method != "GET"), "\(method) \(path)")
            }
        }
    }

    @Test("the OpenAPI document and the listener have the same routes")
    func document() throws {
        let path = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let text = try #require(ProcFile.text("/\(path)/Docs/openapi-admin.yaml"))
        guard case .mapping(let root) = try YAMLParser.parse(text).content,
            let paths = root.first(where: { $0.key == "paths" }), case .mapping(let described) = paths.value.content
        else {
            Issue.record("the document has no paths")
            return
        }
        var documented: Set<String> = []
        for path in described {
            guard case .mapping(let members) = path.value.content else { continue }
            for member in members where member.key != "parameters" {
                documented.insert("\(member.key.uppercased()) \(path.key)")
            }
        }
        let served = Set(AdminRoute.all.flatMap { route in route.methods.map { "\($0) \(route.path)" } })
        #expect(documented == served)
    }

    @Test(
        "a token is compared as a whole",
        arguments: [
            ("Bearer abc", true), ("bearer abc", true), ("Bearer abcd", false), ("Bearer ab", false),
            ("Bearer ", false),
            ("abc", false), ("Basic abc", false),
        ])
    func tokens(header: String, matches: Bool) throws {
        let token = try #require(AdminToken(" abc \n"))
        #expect(token.matches(authorization: header) == matches)
        #expect(!token.matches(authorization: nil))
    }

    @Test("a token comes from the file, else from the environment; an empty or broken one is an error")
    func configuration() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        var settings = AdminSettings()
        #expect(try AdminToken.configured(settings) { _ in nil } == nil)
        #expect(try AdminToken.configured(settings) { _ in "env" }?.matches(authorization: "Bearer env") == true)
        settings.tokenFile = try directory.write("file\nsecond line\n", to: "token")
        #expect(try AdminToken.configured(settings) { _ in "env" }?.matches(authorization: "Bearer file") == true)
        settings.tokenFile = try directory.write("\n", to: "empty")
        #expect(throws: DisaggError.self) { try AdminToken.configured(settings) { _ in "env" } }
        settings.tokenFile = directory.path + "/missing"
        #expect(throws: DisaggError.self) { try AdminToken.configured(settings) { _ in "env" } }
    }
}
