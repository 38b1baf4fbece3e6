import DequeModule
import NIOCore

/// Continuous batching: every step computes some waiting prompt tokens and gives each running request one token.
///
/// One timer a step for the whole engine, none a request. A step takes the prefill time of its prompt tokens plus the
/// decode time of its batch; at speed 0 steps follow each other through the event loop's queue, so that sockets are
/// served in between.
final class StepScheduler {
    private let loop: any EventLoop
    private let timing: TimingTable
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

    init(loop: any EventLoop, timing: TimingTable, speed: Double, maximumRunning: Int) {
        self.loop = loop
        self.timing = timing
        self.speed = speed
        self.maximumRunning = maximumRunning
    }

    /// Admits a request.
    func submit(_ request: ActiveRequest) {
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
        let (prefills, milliseconds) = plan()
        let batch = running.reduce(0) { $0 + (isRunnable($1) ? $1.runningChoices : 0) }
        let total = milliseconds + timing.decodeMilliseconds(running: batch)
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

    /// The prompt tokens the next step computes, oldest request first, and how long that takes.
    private func plan() -> (prefills: [(ActiveRequest, tokens: Int)], milliseconds: Double) {
        guard !holdsPrefills else { return ([], 0) }
        var budget = max(1, timing.stepTokens - running.count)
        var result: [(ActiveRequest, tokens: Int)] = []
        var milliseconds = 0.0
        for request in waiting {
            guard running.count + result.count < maximumRunning else { break }
            let rest = request.prefillTokens - request.prefilledTokens
            guard budget > 0 || rest == 0 else { break }
            let taken = min(rest, budget)
            budget -= taken
            if taken > 0 {
                milliseconds += timing.prefillMilliseconds(
                    from: request.prefilledTokens, to: request.prefilledTokens + taken)
            }
            milliseconds += Double(request.loadedTokens) / 1_000 * timing.loadMillisecondsPerThousandTokens
            request.isPlanned = true
            result.append((request, taken))
        }
        return (result, milliseconds)
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
