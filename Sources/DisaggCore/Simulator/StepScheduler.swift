import DequeModule
import NIOCore

/// Continuous batching: every step computes some waiting prompt tokens and gives each running request one token.
///
/// One timer a step for the whole engine; a request has one only until it can be scheduled. The planner's cost model
/// says what a step takes, for its prompts and its batch together; at speed 0 steps follow each other through the event loop's queue, so that sockets are
/// served in between.
final class StepScheduler {
    private let loop: any EventLoop
    private let timing: SimulatedTiming
    private let speed: Double
    private let maximumRunning: Int
    /// Called when a request's prompt is computed; the request runs once the closure given to it is called.
    var onPrefilled: (ActiveRequest, _ run: @escaping () -> Void) -> Void = { _, run in run() }
    /// Called after each request's step.
    var onStepped: (ActiveRequest) -> Void = { _ in }
    /// Faults that stop the clock.
    var holdsPrefills = false { didSet { kick() } }
    var holdsDecodes = false { didSet { kick() } }
    /// The worker waits for something: no step runs.
    var isBlocked = false { didSet { kick() } }

    private(set) var waiting: Deque<ActiveRequest> = []
    private(set) var running: [ActiveRequest] = []
    private var isStepping = false
    /// When the step before was due, while one follows the other.
    private var lastDue: NIODeadline?
    private var timer: Scheduled<Void>?
    private var isClosed = false

    init(loop: any EventLoop, timing: SimulatedTiming, speed: Double, maximumRunning: Int) {
        self.loop = loop
        self.timing = timing
        self.speed = speed
        self.maximumRunning = maximumRunning
    }

    /// Admits a request, once it is read and its KV cache has arrived.
    func submit(_ request: ActiveRequest) {
        let wait = timing.waitMilliseconds(computed: request.prefillTokens, loaded: request.loadedTokens)
        guard speed > 0, wait > 0 else { return admit(request) }
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(wait * 1e6 / speed))) { self.admit(request) }
    }

    private func admit(_ request: ActiveRequest) {
        guard !isClosed, !request.isOver else { return }
        waiting.append(request)
        kick()
    }

    /// Looks again for work: a client reads again, a hold is over.
    func kick() {
        guard !isStepping, !isClosed, !isBlocked else { return }
        let canPrefill = !holdsPrefills && !waiting.isEmpty && running.count < maximumRunning
        guard canPrefill || running.contains(where: isRunnable) else {
            lastDue = nil
            return
        }
        isStepping = true
        let (prefills, load) = plan()
        var (batch, context) = (load.joining, load.loadedTokens)
        for request in running where isRunnable(request) {
            batch += request.runningChoices
            context += request.contextTokens
        }
        let total =
            load.stall
            + timing.stepMilliseconds(
                prompts: load.prompts, promptTokens: load.promptTokens, work: load.work, running: batch,
                contextTokens: context)
        let isolated = loop.assumeIsolated()
        guard speed > 0 else { return isolated.execute { self.finish(prefills) } }
        // From when the last one was due, not from when it was written out: the writing of 200 tokens would add 7 ms to
        // a step, and on a GPU it happens beside the next one.
        let now = NIODeadline.now()
        let due = max(now, (lastDue ?? now) + .nanoseconds(Int64(total * 1e6 / speed)))
        lastDue = due
        timer = isolated.scheduleTask(deadline: due) { self.finish(prefills) }
    }

    /// Forgets everything; no more steps.
    func close() {
        isClosed = true
        timer?.cancel()
        waiting = []
        running = []
    }

    /// Forgets a request whose client is gone.
    func remove(_ request: ActiveRequest) {
        waiting.removeAll { $0 === request }
        running.removeAll { $0 === request }
    }

    private func isRunnable(_ request: ActiveRequest) -> Bool {
        !request.isOver && !holdsDecodes && request.exchange.isWritable
    }

    /// What a step computes beside the running requests.
    private struct StepLoad {
        var prompts = 0
        var promptTokens = 0
        var work = 0.0
        /// Requests whose KV cache was loaded: they get their first token in this step.
        var joining = 0
        var loadedTokens = 0
        var stall = 0.0
    }

    /// The prompt tokens the next step computes, oldest request first.
    private func plan() -> (prefills: [(ActiveRequest, tokens: Int)], load: StepLoad) {
        var load = StepLoad()
        guard !holdsPrefills else { return ([], load) }
        var budget = max(1, timing.stepTokens - running.count)
        var result: [(ActiveRequest, tokens: Int)] = []
        for request in waiting {
            guard running.count + result.count < maximumRunning else { break }
            let rest = request.prefillTokens - request.prefilledTokens
            guard budget > 0 || rest == 0 else { break }
            let taken = min(rest, budget)
            budget -= taken
            if taken > 0 {
                load.prompts += 1
                load.promptTokens += taken
                load.work += timing.promptWork(tokens: taken, cached: request.prefilledTokens)
            } else {
                load.joining += 1
                load.loadedTokens += request.loadedTokens
            }
            load.stall += timing.stallMilliseconds(loaded: request.loadedTokens)
            request.isPlanned = true
            result.append((request, taken))
        }
        return (result, load)
    }

    private func finish(_ prefills: [(ActiveRequest, tokens: Int)]) {
        guard !isClosed else { return }
        for request in running where isRunnable(request) {
            request.step()
            onStepped(request)
            if isClosed { return }
        }
        running.removeAll(where: \.isOver)
        if !holdsPrefills {
            for (request, tokens) in prefills {
                request.prefilledTokens += tokens
                // Loading is paid once, in the first step.
                request.loadedTokens = 0
            }
            while let first = waiting.first, first.isPlanned, first.prefilledTokens >= first.prefillTokens {
                waiting.removeFirst()
                onPrefilled(first) { [weak self] in self?.run(first) }
                if isClosed { return }
            }
        }
        isStepping = false
        kick()
    }

    /// The first token comes with the end of the prefill, not a step later.
    private func run(_ request: ActiveRequest) {
        guard !isClosed, !request.isOver else { return }
        if !holdsDecodes {
            request.step()
            onStepped(request)
        }
        if isClosed { return }
        if !request.isOver { running.append(request) }
        kick()
    }
}
