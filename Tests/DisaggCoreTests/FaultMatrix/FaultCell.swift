import Testing

@testable import DisaggCore

/// One cell of the fault matrix: a deployment, a fault, and whether the client asked for a stream.
struct FaultCell: Sendable {
    var topology: Topology
    var fault: Fault
    var isStream: Bool

    /// The proxy's deadlines, short so that each can run out: prefill and decode silence 0.8 s, notifications 0.4 s.
    private static func settings(_ deployment: inout Deployment) {
        deployment.proxy.threads = 1
        deployment.proxy.connectTimeout = .milliseconds(500)
        deployment.proxy.prefillTimeout = .milliseconds(800)
        deployment.proxy.decodeIdleTimeout = .milliseconds(800)
        deployment.proxy.notificationTimeout = .milliseconds(400)
        deployment.proxy.drainTimeout = .seconds(2)
    }

    /// The engines' own time limits, minutes in real life: two seconds, and as in real life longer than the proxy's.
    private static func timers(_ timers: inout HandoffTimers) {
        timers = timers.scaled(by: 0.001)
        for path in [
            \HandoffTimers.pushRegistration, \.mooncakeAbort, \.mooncakeReceive, \.moriioDefer, \.moriioReceive,
            \.moriioRead,
            \.offloadUnclaimed, \.sglangWaiting, \.tensorRT,
        ] { timers[keyPath: path] = .seconds(2) }
        timers.nixlLease = .seconds(4)
        timers.nixlTurn = .milliseconds(100)
        timers.offloadLoad = .milliseconds(600)
    }

    /// No cell may last longer, whatever happens: three attempts, each with its deadlines, on a slow machine.
    static let deadline = Duration.seconds(20)

    /// Whether only the right answer will do: nothing goes wrong, or it does before a byte has reached the client, and another
    /// engine is there.
    var mustBeRight: Bool {
        if fault == .none { return true }
        let isCurable = [
            .prefillRefused, .prefillErrs, .prefillDies, .decodeRefused, .decodeErrs, .decodeOverloaded, .decodeDies,
        ].contains(fault)
        // The client of a stream has the prefill engine's first token already.
        return isCurable && topology.prefill > 1 && !(isStream && topology.firstToken == .prefill)
    }

    /// Runs the cell.
    func run() async throws -> FaultOutcome {
        let paces = fault == .clientGoneInStream
        let harness = try await ProxyHarness(
            topology,
            configure: { configuration in
                Self.timers(&configuration.timers)
                guard paces, configuration.role == .decode else { return }
                (configuration.speed, configuration.timing) = (1, .constant(milliseconds: 20))
            }, settings: Self.settings)
        do {
            let outcome = try await run(harness)
            await harness.shutdown()
            return outcome
        } catch {
            await harness.shutdown()
            throw error
        }
    }

    private var members: String { #""max_tokens":12,"temperature":0,"ignore_eos":true,"stream":\#(isStream)"# }

    private func run(_ harness: ProxyHarness) async throws -> FaultOutcome {
        var outcome = FaultOutcome(cell: self)
        var ports: [HeldPort] = []
        defer { withExtendedLifetime(ports) {} }
        if fault == .prefillRestarted {
            try await harness.expectRight("/v1/completions", ProxyHarness.completion("before", members))
            try await harness.settles()
            for engine in harness.prefill { try await engine.restart() }
        }
        if fault == .prefillRefused { ports.append(try await harness.prefill[0].kill()) }
        if fault == .decodeRefused { ports.append(try await harness.decode[0].kill()) }
        if var faults = fault.injection, let role = fault.role {
            faults.budget = FaultBudget(1)
            for engine in role == .prefill ? harness.prefill : harness.decode { try await engine.inject(faults) }
        }
        // Where an engine refuses connections, two requests in turn reach both engines of the role.
        let requests = [.prefillRefused, .decodeRefused].contains(fault) ? topology.prefill : 1
        for index in 0..<requests {
            let body = ProxyHarness.completion("request \(index)", members)
            let expected = NormalizedAnswer(try await harness.direct.post("/v1/completions", body))
            let start = ContinuousClock.now
            let seen = try await ask(harness, body, expected)
            outcome.add(seen, after: ContinuousClock.now - start)
        }
        let answered = ContinuousClock.now
        try await judgeLedgers(harness, &outcome)
        outcome.secondsToFree = Double((ContinuousClock.now - answered) / .milliseconds(1)) / 1000
        try await judgeAfterwards(harness, &outcome)
        return outcome
    }

    // MARK: The request

    private func ask(_ harness: ProxyHarness, _ body: String, _ expected: NormalizedAnswer) async throws
        -> FaultOutcome.Seen
    {
        let connection = try await RawConnection(port: harness.proxy.port)
        let role: BackendRole? =
            fault == .clientGoneInPrefill ? .prefill : fault == .clientGoneInDecode ? .decode : nil
        let held = role == .prefill ? harness.prefill : role == .decode ? harness.decode : []
        var hold = SimulatedFaults()
        (hold.holdPrefills, hold.holdDecodes) = (role == .prefill, role == .decode)
        for engine in held { try await engine.inject(hold) }
        try await connection.send(RawHTTPClient.request("POST", "/v1/completions", body: body))
        if fault.isClients {
            if held.isEmpty {
                _ = await connection.read { String(decoding: $0, as: UTF8.self).contains("data: ") }
            } else {
                try await within(Self.deadline) {
                    while try await held.asyncAllIdle() { try await Task.sleep(for: .milliseconds(5)) }
                    // A side-car has the request before the prefill engine has: there the decode begins with the KV.
                    while role == .decode, topology.handoff == .llmd,
                        try await harness.ledgers().allSatisfy({ $0.transferred == 0 })
                    {
                        try await Task.sleep(for: .milliseconds(5))
                    }
                }
            }
            await connection.close()
            try await within(Self.deadline) {
                while try await harness.metric("disagg_clients_gone_total") == "0" {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
            for engine in held { try await engine.inject(SimulatedFaults()) }
            return .gone
        }
        let answer = try await within(Self.deadline) { await connection.read() }
        await connection.close()
        guard let answer else { return .hung }
        if NormalizedAnswer(answer) == expected { return .right }
        if answer.isBrokenStream { return .brokenStream }
        if answer.status >= 400, answer.isComplete,
            answer.isOpenAIError(answer.status) || answer.isFlatError
        {
            return .error(answer.status)
        }
        if answer.isErrorEventOnly { return .errorEvent }
        return .malformed("\(answer.statusLine) \(answer.body.prefix(200))")
    }

    // MARK: Afterwards

    /// Waits until nothing is held, at most for the engines' own time limits, then reads the ledgers.
    private func judgeLedgers(_ harness: ProxyHarness, _ outcome: inout FaultOutcome) async throws {
        let all = harness.prefill.map { ("P", $0) } + harness.decode.map { ("D", $0) }
        // A leg that must not be cancelled lasts until the hung process is killed.
        if [.prefillHangs, .decodeHangs].contains(fault) {
            for (_, engine) in all { try await engine.inject(.with { $0.dieIfHung = true }) }
        }
        try await within(Self.deadline) {
            while try await harness.metric("disagg_requests_in_flight") != "0" {
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        let limit = ContinuousClock.now + .seconds(8)
        while ContinuousClock.now < limit {
            var held = 0
            for (_, engine) in all {
                let ledger = try await engine.ledger()
                if !ledger.dead { held += ledger.held }
            }
            if held == 0 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        var isFreeable = false
        for engine in harness.decode where !(try await engine.ledger().dead) { isFreeable = true }
        for (name, engine) in all { outcome.add(try await engine.ledger(), of: name, isFreeable: isFreeable) }
        if try await harness.metric("disagg_requests_in_flight") != "0" {
            outcome.problems.append("a request never ended")
        }
    }

    /// Engines that live must go on serving.
    private func judgeAfterwards(_ harness: ProxyHarness, _ outcome: inout FaultOutcome) async throws {
        for engine in harness.prefill + harness.decode { try await engine.inject(SimulatedFaults()) }
        var alive: [BackendRole: Int] = [:]
        for engine in harness.prefill where !(try await engine.ledger().dead) { alive[.prefill, default: 0] += 1 }
        for engine in harness.decode where !(try await engine.ledger().dead) { alive[.decode, default: 0] += 1 }
        guard alive[.decode] != nil, alive[.prefill] != nil || topology.handoff == .none else { return }
        let body = ProxyHarness.completion("afterwards", #""max_tokens":4,"temperature":0,"ignore_eos":true"#)
        let expected = NormalizedAnswer(try await harness.direct.post("/v1/completions", body))
        let answer = try await within(Self.deadline) { try await harness.proxy.post("/v1/completions", body) }
        if answer.map(NormalizedAnswer.init) != expected {
            outcome.problems.append(
                "the next request: \(answer.map { "\($0.statusLine) \($0.body.prefix(160))" } ?? "hung")")
        }
    }
}

extension [SimulatedEngine] {
    /// Whether none has a request.
    fileprivate func asyncAllIdle() async throws -> Bool {
        for engine in self where try await engine.load() > 0 { return false }
        return true
    }
}

extension RawResponse {
    /// An error as SGLang and TensorRT-LLM write it.
    fileprivate var isFlatError: Bool {
        json?["object"]?.string == "error" && json?["code"]?.int == status && json?["message"]?.string?.isEmpty == false
    }

    /// A stream in which nothing but an error and the end came.
    fileprivate var isErrorEventOnly: Bool {
        status == 200 && isComplete && body.hasSuffix("data: [DONE]\n\n") && events.count == 1
            && events.first?["error"]?["message"]?.string?.isEmpty == false
    }
}

/// Runs something for at most some time; nil where it did not end.
func within<Value: Sendable>(
    _ limit: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        let first = try await group.next() ?? nil
        group.cancelAll()
        return first
    }
}
