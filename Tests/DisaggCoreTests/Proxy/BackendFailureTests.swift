import Glibc
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import DisaggCore

/// Engines in processes of their own that are killed, stopped, or answer nonsense, under many streams.
@Suite("Failing backends under load", .timeLimit(.minutes(3)))
struct BackendFailureTests {
    enum Fault: String, CaseIterable, CustomTestStringConvertible {
        case killed = "SIGKILL"
        case stopped = "SIGSTOP"
        case burst = "500s"
        case flapping = "SIGKILL, started again, three times"

        var testDescription: String { rawValue }
        /// Whether what it has written cannot be written on.
        var endsProcess: Bool { self == .killed || self == .flapping }
    }

    /// A stream as its client saw it.
    struct Seen: Sendable {
        var answer: RawResponse

        var isWhole: Bool {
            answer.status == 200 && answer.isComplete && answer.body.hasSuffix("data: [DONE]\n\n")
                && !answer.isBrokenStream && answer.events.count == BackendFailureTests.tokens
        }
        var decode: String { answer.decisionMember("decode") }
        var prefill: String { answer.decisionMember("prefill") }
        /// Whether it was given to another pair, or to a decoder alone.
        var wasMoved: Bool { answer.decisionMember("retries") != "0" || prefill.isEmpty }
    }

    static let tokens = 16

    // Five processes and some seconds each: `./disagg test faults` runs them.
    @Test(
        "of 200 streams only those end early whose decode had begun at the engine that failed",
        .enabled(if: getenv("DISAGG_FAULTS") != nil), arguments: Fault.allCases, [BackendRole.decode, .prefill])
    func underLoad(fault: Fault, role: BackendRole) async throws {
        let scene = try ProcessScene(prefill: 2, decode: 2)
        try await scene.run { proxy, log in
            let victim = role.backendID(replica: 0)
            let began = NIOLockedValueBox(0)
            var retried = 0
            let started = ContinuousClock.now
            // Prefills are short: those of the engine that will fail are held, so that some are under way then.
            if role == .prefill, fault != .burst { try await scene.inject(#"{"holdPrefills":true}"#, role, 0) }
            // An engine that refuses does so with what comes after.
            if fault == .burst { try await Self.strike(fault, role, scene, proxy, log) }
            try await withThrowingTaskGroup(of: Seen.self) { group in
                for index in 0..<200 {
                    group.addTask { try await Self.stream(index, proxy, began) }
                }
                // Some streams are under way, some are not.
                try await eventually { began.withLockedValue { $0 } > 40 }
                let failed = ContinuousClock.now
                var ejected = failed
                if fault != .burst { ejected = try await Self.strike(fault, role, scene, proxy, log) }
                var all: [Seen] = []
                for try await seen in group { all.append(seen) }
                let lost = all.filter { !$0.isWhole }
                let innocent = lost.filter { seen in
                    // Its head names the decoder whose first token it came with, and that token is in it: so the decode had
                    // begun at the engine that failed.
                    !(fault.endsProcess && role == .decode && seen.decode == victim && seen.answer.isBrokenStream
                        && seen.answer.events.count > 1)
                }
                #expect(all.count == 200)
                #expect(innocent.isEmpty, "\(innocent.count): \(innocent.prefix(3).map(\.answer.body))")
                // Not for want of streams that met the fault; a decoder may have served them alone.
                retried = all.count { $0.wasMoved }
                #expect(retried + lost.count > 0)
                print(
                    "\(fault.rawValue) of \(victim): out after \(ejected - failed), \(lost.count) of 200 streams ended early, "
                        + "\(retried) were given to others, "
                        + "the last ended after \(ContinuousClock.now - started)")
            }
            // A decoder that goes on reads requests that went to others meanwhile, and frees their KV once more.
            let returns = fault == .stopped && role == .decode
            try await scene.expectClean(
                except: fault.endsProcess ? (role, 0) : nil, freedTwiceAtMost: returns ? 2 * retried : 0)
        }
    }

    /// Runs one stream to its end; counts it when it has begun.
    private static func stream(
        _ index: Int, _ proxy: RawHTTPClient, _ began: NIOLockedValueBox<Int>
    ) async throws -> Seen {
        let connection = try await RawConnection(port: proxy.port)
        let body = ProxyHarness.completion("stream \(index)", #""max_tokens":\#(tokens),"stream":true"#)
        try await connection.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
        let isFirst = NIOLockedValueBox(1)
        let answer = await connection.read { _ in
            let count = isFirst.withLockedValue { first in
                defer { first = 0 }
                return first
            }
            began.withLockedValue { $0 += count }
            return false
        }
        await connection.close()
        return Seen(answer: answer)
    }

    /// Does to the first engine of a role what is to be done, and waits until the proxy has left it out.
    ///
    /// - Returns: when that was.
    @discardableResult
    private static func strike(
        _ fault: Fault, _ role: BackendRole, _ scene: ProcessScene, _ proxy: RawHTTPClient, _ log: CapturedLog
    ) async throws -> ContinuousClock.Instant {
        let id = role.backendID(replica: 0)
        switch fault {
        case .killed:
            kill(scene.process(role, 0), SIGKILL)
            try await log.wait(for: "left out", of: id)
        case .stopped:
            kill(scene.process(role, 0), SIGSTOP)
            try await log.wait(for: "left out", of: id)
            let ejected = ContinuousClock.now
            // What a decoder had not begun to answer goes to others. Its streams are not given up: they go on when it does.
            try await eventually {
                let page = try ScrapedSample.page(try await proxy.get("/metrics").body)
                return page.contains {
                    $0.name == "disagg_retries_total" && $0.value > 0
                        || $0.name == "disagg_requests_total" && $0.labels["failed"] != "none"
                }
            }
            kill(scene.process(role, 0), SIGCONT)
            if role == .prefill { try await scene.inject(#"{"holdPrefills":false}"#, role, 0) }
            return ejected
        case .burst: try await scene.inject(#"{"refuse":40,"refuseStatus":500}"#, role, 0)
        case .flapping:
            try await scene.flap(role, 0, times: 3)
            try await log.wait(for: "left out", of: id)
        }
        return ContinuousClock.now
    }

    @Test("a burst of 500s opens the breaker of that engine alone, and costs no client an answer")
    func burst() async throws {
        try await withProxy(Topology(handoff: .nixl, prefill: 2, decode: 2)) { harness in
            try await harness.prefill[0].inject(
                .with {
                    $0.refuse = 1000
                    $0.refuseStatus = 500
                })
            for index in 0..<30 {
                try await harness.expectRight("/v1/completions", ProxyHarness.completion("king \(index)"))
            }
            let picks = try await harness.metric(#"disagg_backend_picks_total{backend="prefill-0""#)
            // Five faults open it; one trial at a time is let through later.
            #expect((Int(picks ?? "") ?? 99) <= 12, "\(picks ?? "-")")
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="decode-0""#) == "0")
            #expect(try await harness.metric(#"disagg_backend_failures_total{backend="decode-1""#) == "0")
            try await harness.expectClean()
        }
    }

    @Test("an engine that comes and goes costs no client an answer")
    func flapping() async throws {
        try await withProxy(Topology(handoff: .nixl, prefill: 2, decode: 1)) { harness in
            for round in 0..<4 {
                try await harness.prefill[0].inject(
                    .with {
                        $0.refuse = round % 2 == 0 ? 3 : 0
                        $0.refuseStatus = round % 4 == 0 ? 503 : 500
                        $0.closeIdle = true
                    })
                for index in 0..<6 {
                    try await harness.expectRight("/v1/completions", ProxyHarness.completion("\(round) \(index)"))
                }
            }
            try await harness.settles()
            try await harness.expectClean()
        }
    }
}

extension RawResponse {
    /// A member of the field that tells how the request was served; empty where there is none.
    fileprivate func decisionMember(_ name: String) -> String {
        let field = headers.first { $0.name.lowercased() == "x-disagg-decision" }?.value ?? ""
        guard let start = field.firstRange(of: "\(name)=") else { return "" }
        return String(field[start.upperBound...].prefix { $0 != "," }.filter { $0 != "\"" })
    }
}
