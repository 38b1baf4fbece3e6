import NIOConcurrencyHelpers
import Testing

@testable import DisaggCore

/// A proxy with its admin listener, and a token for it.
func withAdminProxy(
    _ topology: Topology, token: String? = "s3cret-token",
    configure: (inout SimulatedEngineConfiguration) -> Void = { _ in },
    settings: (inout Deployment) -> Void = { _ in },
    isReloadable: Bool = false, isWatched: Bool = false,
    _ body: (ProxyHarness, AdminCaller, TemporaryDirectory) async throws -> Void
) async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    let tokenFile = try token.map { try directory.write($0 + "\n", to: "token") }
    try await withProxy(
        topology, configure: configure,
        settings: {
            $0.proxy.admin.isEnabled = true
            $0.proxy.admin.tokenFile = tokenFile
            // As in a file that names the engines: their number is not given beside.
            if !$0.prefill.urls.isEmpty { $0.prefill.replicas = 1 }
            settings(&$0)
        },
        source: { deployment in
            guard isReloadable else { return nil }
            let file = try directory.write(DeploymentWriter.yaml(deployment), to: "deployment.yaml")
            return DeploymentSource(file: file, isWatched: isWatched) { try Deployment(contentsOf: file) }
        },
        { harness in
            try await body(harness, AdminCaller(client: harness.admin, token: token), directory)
        })
}

/// Requests to the admin API that show the token.
struct AdminCaller: Sendable {
    let client: RawHTTPClient
    let token: String?

    func call(_ method: String, _ path: String, _ body: String? = nil) async throws -> RawResponse {
        try await client.send(
            method, path, body: body, headers: token.map { ["Authorization: Bearer \($0)"] } ?? [])
    }

    /// The states of all backends by their id.
    func states() async throws -> [String: String] {
        let list = try await call("GET", "/admin/v1/backends").json?["backends"]?.elements ?? []
        return Dictionary(
            list.map { ($0["id"]?.string ?? "", $0["state"]?.string ?? "") }, uniquingKeysWith: { $1 })
    }

    /// The ids of one role.
    func ids(_ role: String) async throws -> [String] {
        let list = try await call("GET", "/admin/v1/backends").json?["backends"]?.elements ?? []
        return list.filter { $0["role"]?.string == role }.compactMap { $0["id"]?.string }
    }
}

/// Requests without a pause, from several clients at once, until it is told to stop.
final class SteadyLoad: Sendable {
    private struct State {
        var isOver = false
        var answered = 0
        var failures: [String] = []
    }

    private let state = NIOLockedValueBox(State())
    private let workers: [Task<Void, Never>]

    init(_ harness: ProxyHarness, clients: Int = 6) {
        let state = state
        let port = harness.proxy.port
        workers = (0..<clients).map { client in
            Task {
                var number = 0
                while !state.withLockedValue({ $0.isOver }) {
                    number += 1
                    let isStream = (client + number) % 2 == 0
                    let body = ProxyHarness.completion(
                        "load \(client) \(number)",
                        #""max_tokens":6,"temperature":0,"ignore_eos":true,"stream":\#(isStream)"#)
                    let failure: String?
                    do {
                        let response = try await RawHTTPClient(port: port).post("/v1/completions", body)
                        let isWhole =
                            response.isComplete && (!isStream || response.body.hasSuffix("data: [DONE]\n\n"))
                            && !response.body.contains("\"error\"")
                        failure = response.status == 200 && isWhole ? nil : "\(response.statusLine) \(response.body)"
                    } catch {
                        failure = "\(error)"
                    }
                    state.withLockedValue { state in
                        if let failure { state.failures.append(failure) } else { state.answered += 1 }
                    }
                }
            }
        }
    }

    /// Answers so far.
    var answered: Int { state.withLockedValue { $0.answered } }

    /// Waits until that many more were answered, or one failed.
    func more(_ count: Int = 12) async throws {
        let goal = answered + count
        try await eventually { state.withLockedValue { $0.answered >= goal || !$0.failures.isEmpty } }
    }

    /// Stops, waits for the last answers, and expects that none failed.
    func expectNoFailure(sourceLocation: SourceLocation = #_sourceLocation) async {
        state.withLockedValue { $0.isOver = true }
        for worker in workers { await worker.value }
        let (answered, failures) = state.withLockedValue { ($0.answered, $0.failures) }
        #expect(failures.isEmpty, "\(failures.prefix(3))", sourceLocation: sourceLocation)
        #expect(answered > 0, sourceLocation: sourceLocation)
    }
}
