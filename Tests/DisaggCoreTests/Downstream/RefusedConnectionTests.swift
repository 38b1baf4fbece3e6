import Testing

@testable import DisaggCore

/// What a connection answers by itself, where no request came to be.
@Suite("Decisions on what is no request", .timeLimit(.minutes(1)))
struct RefusedConnectionTests {
    private static let decision = "protocol=nixl, disaggregated=?0, reason=invalid-request, retries=0"

    private static let head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n"

    private static let large = String(repeating: "x", count: 5_000)

    private static let requests: [(status: Int, text: String)] = [
        (408, head), (408, "\(head)Content-Length: 9\r\n\r\n{"), (413, "\(head)Content-Length: 99999\r\n\r\n"),
        (413, "\(head)Transfer-Encoding: chunked\r\n\r\n\(ScriptedReply.chunk(large))"),
        (431, WireRequest.get("/\(large)")), (400, "rubbish\r\n\r\n"),
        (400, "\(head)Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ]

    @Test("errors of the connection carry the decision where the deployment shows it", arguments: requests)
    func decided(status: Int, request: String) async throws {
        for isShown in [true, false] {
            try await withProxy(
                Topology(handoff: .nixl),
                settings: {
                    $0.proxy.requests.showsDecision = isShown
                    $0.proxy.requestReadTimeout = .milliseconds(200)
                    $0.proxy.maximumBodyBytes = 4_096
                    $0.proxy.maximumHeadBytes = 4_096
                },
                { harness in
                    let client = try await WireClient(port: harness.proxy.port)
                    try await client.send(request)
                    let answer = try #require(await client.next())
                    #expect(answer.status == status && answer.openAIError != nil)
                    #expect(answer.values("x-disagg-decision") == (isShown ? [Self.decision] : []))
                    await client.close()
                })
        }
    }
}
