/// The state of one run of a ``ClusterSimulation``; a class, since the engines call back into it.
final class ClusterRun<Timing: StepTiming> {
    private let requests: [WorkloadRequest]
    private let router: ClusterRouter
    private var choices: [ClusterRouter.Choice?]
    private(set) var result: SimulationResult

    /// Empty where the decode engines do both.
    private var prefills: [EngineSimulation<Timing>] = []
    private var decodes: [EngineSimulation<Timing>] = []
    /// Requests that were sent, by when an engine can schedule them: a request's own time is over.
    private var sent = EventHeap<Double>()
    private let requestMilliseconds: (Int) -> Double
    /// Requests that wait in the proxy until an engine has room, and how long each does, in ms.
    private var waiting: [Int] = []
    private let patience: Double
    private var firstWaiting = 0

    /// Engines that do both.
    init(_ requests: [WorkloadRequest], engines: ClusterSimulation<Timing>.Part, router: ClusterRouter) {
        self.requests = requests
        self.router = router
        patience = Double(router.settings.admission.queueTimeout.nanoseconds) / 1e6
        choices = Array(repeating: nil, count: requests.count)
        result = SimulationResult(count: requests.count)
        requestMilliseconds = { engines.timing.requestMilliseconds(promptTokens: $0) }
        decodes = (0..<max(1, engines.count)).map { _ in
            let engine = EngineSimulation(timing: engines.timing, limits: engines.limits)
            engine.onPrompt = { [unowned self] request, now in
                result.firstToken[request] = now
                begin(request, now)
                if requests[request].outputTokens <= 1 { finish(request, now) }
            }
            engine.onEnd = { [unowned self] request, now in finish(request, now) }
            return engine
        }
    }

    /// Prefill and decode engines.
    init(
        _ requests: [WorkloadRequest], prefill: ClusterSimulation<Timing>.Part, decode: ClusterSimulation<Timing>.Part,
        handoff: HandoffProfile, router: ClusterRouter
    ) {
        self.requests = requests
        self.router = router
        patience = Double(router.settings.admission.queueTimeout.nanoseconds) / 1e6
        choices = Array(repeating: nil, count: requests.count)
        result = SimulationResult(count: requests.count)
        requestMilliseconds = { prefill.timing.requestMilliseconds(promptTokens: $0) }
        var limits = decode.limits
        limits.stepMilliseconds += handoff.stepMilliseconds
        decodes = (0..<max(1, decode.count)).map { _ in
            let engine = EngineSimulation(timing: decode.timing, limits: limits)
            engine.onFirst = { [unowned self] request, now in
                if !handoff.answersFromPrefill { result.firstToken[request] = now }
                begin(request, now)
            }
            engine.onEnd = { [unowned self] request, now in finish(request, now) }
            return engine
        }
        prefills = (0..<max(1, prefill.count)).map { _ in
            let engine = EngineSimulation(timing: prefill.timing, limits: prefill.limits)
            engine.onPrompt = { [unowned self] request, now in handOver(request, now, handoff) }
            return engine
        }
    }

    /// Runs everything to its end.
    func run() {
        for (index, request) in requests.enumerated() {
            advance(to: request.arrival)
            if router.isScrapeDue(at: request.arrival) {
                router.scrape(prefill: prefills.map(\.load), decode: decodes.map(\.load), at: request.arrival)
            }
            guard firstWaiting < waiting.count || !send(index, at: request.arrival) else { continue }
            if waiting.count - firstWaiting < router.settings.admission.queue {
                waiting.append(index)
            } else {
                result.refused[index] = true
            }
        }
        advance(to: .infinity)
        result.prefillBusy = prefills.map(\.busy)
        result.decodeBusy = decodes.map(\.busy)
        result.peakKVTokens = decodes.map(\.peakReserved).max() ?? 0
    }

    // MARK: Requests

    /// Sends a request to the engines that the proxy chooses.
    ///
    /// - Returns: false where none has room.
    private func send(_ number: Int, at now: Double) -> Bool {
        let request = requests[number]
        guard let choice = router.route(request, at: now) else { return false }
        choices[number] = choice
        sent.insert(now + requestMilliseconds(request.inputTokens), number)
        return true
    }

    private func handOver(_ number: Int, _ now: Double, _ handoff: HandoffProfile) {
        let request = requests[number]
        guard let choice = choices[number] else { return }
        let answered = now + handoff.send(tokens: request.inputTokens)
        if handoff.answersFromPrefill { result.firstToken[number] = answered }
        router.prefillEnded(choice, at: answered)
        let output = request.outputTokens - (handoff.answersFromPrefill ? 1 : 0)
        guard output > 0 else { return finish(number, answered) }
        decodes[choice.decode].send(
            EngineTask(
                request: number, promptTokens: 0, contextTokens: request.inputTokens + 1, outputTokens: output,
                stall: handoff.stall(tokens: request.inputTokens)),
            ready: answered, transfer: handoff.wait(tokens: request.inputTokens))
    }

    private func begin(_ number: Int, _ now: Double) {
        guard var choice = choices[number] else { return }
        router.decodeBegan(&choice, at: now)
        choices[number] = choice
    }

    private func finish(_ number: Int, _ now: Double) {
        result.end[number] = now
        guard let choice = choices[number] else { return }
        router.decodeEnded(choice, tokens: requests[number].outputTokens, at: now)
    }

    // MARK: Time

    /// Runs every event before `time`. While requests wait, one event after the other: each may make room.
    private func advance(to time: Double) {
        while firstWaiting < waiting.count {
            let next = nextEvent
            guard next < time else { break }
            runEngines(before: next.nextUp)
            refuseWaiting(since: next - patience)
            while firstWaiting < waiting.count, send(waiting[firstWaiting], at: next) { firstWaiting += 1 }
        }
        runEngines(before: time)
        refuseWaiting(since: time - patience)
    }

    /// Answers 429 to those who have waited since `time` or longer. Who came first has waited longest.
    private func refuseWaiting(since time: Double) {
        while firstWaiting < waiting.count, requests[waiting[firstWaiting]].arrival <= time {
            result.refused[waiting[firstWaiting]] = true
            firstWaiting += 1
        }
    }

    private var nextEvent: Double {
        var next = sent.first?.key ?? .infinity
        for engine in prefills { next = min(next, engine.nextEvent) }
        for engine in decodes { next = min(next, engine.nextEvent) }
        return next
    }

    private func runEngines(before time: Double) {
        if prefills.isEmpty {
            while let next = sent.first, next.key <= time {
                _ = sent.removeFirst()
                guard let choice = choices[next.value] else { continue }
                decodes[choice.decode].advance(to: next.key)
                submit(
                    next.value, to: decodes[choice.decode], outputTokens: requests[next.value].outputTokens - 1,
                    at: next.key)
            }
        } else {
            runPrefills(before: time)
        }
        for engine in decodes { engine.advance(to: time) }
    }

    /// Runs prefill engines, in the order in which their steps end.
    private func runPrefills(before time: Double) {
        while true {
            var next = 0
            for index in prefills.indices where prefills[index].stepEnd < prefills[next].stepEnd { next = index }
            let end = prefills[next].stepEnd
            if let submission = sent.first, submission.key <= min(end, time) {
                _ = sent.removeFirst()
                guard let engine = choices[submission.value]?.prefill else { continue }
                submit(submission.value, to: prefills[engine], outputTokens: 0, at: submission.key)
            } else if end < time {
                // Only the one engine's one step: an earlier end elsewhere may follow from it.
                prefills[next].advance(to: end.nextUp)
            } else {
                return
            }
        }
    }

    private func submit(_ number: Int, to engine: EngineSimulation<Timing>, outputTokens: Int, at now: Double) {
        let tokens = requests[number].inputTokens
        engine.submit(
            EngineTask(
                request: number, promptTokens: tokens, contextTokens: tokens, outputTokens: max(0, outputTokens)),
            at: now)
    }
}
