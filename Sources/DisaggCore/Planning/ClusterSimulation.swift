/// A discrete-event simulation of a deployment: arrivals, prefill engines, hand-offs, decode engines.
///
/// Decode engines are advanced only when somebody looks at them, so a step costs some tens of nanoseconds and events are
/// only arrivals and the ends of prefill steps. The same requests and router give the same result to the last bit.
package struct ClusterSimulation<Timing: StepTiming, Router: ClusterRouter> {
    private let prefill: (timing: Timing, limits: EngineLimits, count: Int)?
    private let decode: (timing: Timing, limits: EngineLimits, count: Int)
    private let handoff: HandoffProfile?
    private var router: Router

    /// Creates a cluster with prefill and decode engines.
    package init(
        prefill: (timing: Timing, limits: EngineLimits, count: Int),
        decode: (timing: Timing, limits: EngineLimits, count: Int), handoff: HandoffProfile, router: Router
    ) {
        self.prefill = prefill
        self.decode = decode
        self.handoff = handoff
        self.router = router
    }

    /// Creates a cluster of engines that do both.
    package init(engines: (timing: Timing, limits: EngineLimits, count: Int), router: Router) {
        prefill = nil
        decode = engines
        handoff = nil
        self.router = router
    }

    /// Runs requests, which come in order of arrival, to their ends.
    package mutating func run(_ requests: [WorkloadRequest]) -> SimulationResult {
        let state = Run(requests: requests, router: router)
        if let prefill, let handoff {
            state.runPair(prefill: prefill, decode: decode, handoff: handoff)
        } else {
            state.runTogether(decode)
        }
        router = state.router
        return state.result
    }

    /// The state of one run; a class, since the engines call back into it.
    private final class Run {
        let requests: [WorkloadRequest]
        var router: Router
        var result: SimulationResult
        private var choices: [(prefill: Int, decode: Int)]

        init(requests: [WorkloadRequest], router: Router) {
            self.requests = requests
            self.router = router
            result = SimulationResult(count: requests.count)
            choices = Array(repeating: (0, 0), count: requests.count)
        }

        func runTogether(_ engines: (timing: Timing, limits: EngineLimits, count: Int)) {
            let pool = (0..<max(1, engines.count)).map { index in
                let engine = EngineSimulation(timing: engines.timing, limits: engines.limits)
                engine.onPrompt = { [unowned self] request, now in
                    result.firstToken[request] = now
                    if requests[request].outputTokens <= 1 { finish(request, now) }
                }
                engine.onEnd = { [unowned self] request, now in finish(request, now) }
                return engine
            }
            // A request's own time before it can be scheduled is added at its arrival, in order.
            var ready = EventHeap<Double>()
            func release(before time: Double) {
                while let next = ready.first, next.key <= time {
                    _ = ready.removeFirst()
                    let request = requests[next.value]
                    let engine = pool[min(choices[next.value].decode, pool.count - 1)]
                    engine.advance(to: next.key)
                    engine.submit(
                        EngineTask(
                            request: next.value, promptTokens: request.inputTokens, contextTokens: request.inputTokens,
                            outputTokens: max(0, request.outputTokens - 1)), at: next.key)
                }
            }
            for (index, request) in requests.enumerated() {
                release(before: request.arrival)
                for engine in pool { engine.advance(to: request.arrival) }
                choices[index] = router.route(request, at: request.arrival)
                ready.insert(
                    request.arrival + engines.timing.requestMilliseconds(promptTokens: request.inputTokens), index)
            }
            release(before: .infinity)
            for engine in pool { engine.advance(to: .infinity) }
            result.decodeBusy = pool.map(\.busy)
            result.peakKVTokens = pool.map(\.peakReserved).max() ?? 0
        }

        func runPair(
            prefill: (timing: Timing, limits: EngineLimits, count: Int),
            decode: (timing: Timing, limits: EngineLimits, count: Int), handoff: HandoffProfile
        ) {
            var limits = decode.limits
            limits.stepMilliseconds += handoff.stepMilliseconds
            let decoders = (0..<max(1, decode.count)).map { _ in
                let engine = EngineSimulation(timing: decode.timing, limits: limits)
                engine.onFirst = { [unowned self] request, now in
                    if !handoff.answersFromPrefill { result.firstToken[request] = now }
                }
                engine.onEnd = { [unowned self] request, now in finish(request, now) }
                return engine
            }
            let prefillers = (0..<max(1, prefill.count)).map { _ in
                let engine = EngineSimulation(timing: prefill.timing, limits: prefill.limits)
                engine.onPrompt = { [unowned self] number, now in
                    let request = requests[number]
                    let choice = choices[number]
                    let answered = now + handoff.send(tokens: request.inputTokens)
                    if handoff.answersFromPrefill { result.firstToken[number] = answered }
                    router.prefillEnded(choice.prefill, request, at: answered)
                    let output = request.outputTokens - (handoff.answersFromPrefill ? 1 : 0)
                    guard output > 0 else { return finish(number, answered) }
                    let decoder = decoders[min(choice.decode, decoders.count - 1)]
                    decoder.send(
                        EngineTask(
                            request: number, promptTokens: 0, contextTokens: request.inputTokens + 1,
                            outputTokens: output, stall: handoff.stall(tokens: request.inputTokens)),
                        ready: answered, transfer: handoff.wait(tokens: request.inputTokens))
                }
                return engine
            }
            var ready = EventHeap<Double>()
            /// Runs prefill engines, in the order in which their steps end, up to a time.
            func runPrefills(before time: Double) {
                while true {
                    var next = 0
                    for index in prefillers.indices where prefillers[index].stepEnd < prefillers[next].stepEnd {
                        next = index
                    }
                    let end = prefillers[next].stepEnd
                    if let submission = ready.first, submission.key <= min(end, time) {
                        _ = ready.removeFirst()
                        let request = requests[submission.value]
                        prefillers[min(choices[submission.value].prefill, prefillers.count - 1)].submit(
                            EngineTask(
                                request: submission.value, promptTokens: request.inputTokens,
                                contextTokens: request.inputTokens, outputTokens: 0), at: submission.key)
                    } else if end < time {
                        // Only the one engine's one step: an earlier end elsewhere may follow from it.
                        prefillers[next].advance(to: end.nextUp)
                    } else {
                        return
                    }
                }
            }
            for (index, request) in requests.enumerated() {
                runPrefills(before: request.arrival)
                for engine in decoders { engine.advance(to: request.arrival) }
                let choice = router.route(request, at: request.arrival)
                choices[index] = choice
                ready.insert(
                    request.arrival + prefill.timing.requestMilliseconds(promptTokens: request.inputTokens), index)
            }
            runPrefills(before: .infinity)
            for engine in decoders { engine.advance(to: .infinity) }
            result.prefillBusy = prefillers.map(\.busy)
            result.decodeBusy = decoders.map(\.busy)
            result.peakKVTokens = decoders.map(\.peakReserved).max() ?? 0
        }

        private func finish(_ number: Int, _ now: Double) {
            result.end[number] = now
            router.decodeEnded(choices[number].decode, requests[number], at: now)
        }
    }
}
