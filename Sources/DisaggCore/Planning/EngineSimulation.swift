/// One engine of a simulation: continuous batching in steps, as vLLM's scheduler does it.
///
/// Each step gives every running request a token, then fills the token budget with prompts, first come first served; a
/// prompt larger than the rest is cut. Requests whose KV cache arrives from elsewhere join at the next step's start.
///
/// A step costs no time for each request: what runs is a count and a sum of KV tokens, and a heap knows in which step
/// the next request ends.
final class EngineSimulation<Timing: StepTiming> {
    private let timing: Timing
    private let limits: EngineLimits

    private var waiting: [EngineTask] = []
    private var firstWaiting = 0
    /// Requests under way, by the step in which they end.
    private var ends = EventHeap<Int>()
    private var running = 0
    private var contextTokens = 0
    private var reserved = 0
    private var step = 0
    /// The tasks of the current step's prompts, and those that joined.
    private var prompts: [EngineTask] = []
    private var joined: [EngineTask] = []
    private var tasks: [Int: EngineTask] = [:]
    /// When the current step ends; infinite while idle.
    private(set) var stepEnd = Double.infinity
    /// Time spent in steps, in ms.
    private(set) var busy = 0.0
    /// The most KV tokens that were reserved at once.
    private(set) var peakReserved = 0

    /// Hand-offs on their way: when they are ready to be scheduled.
    private var arrivals = EventHeap<Double>()
    private var arriving: [Int: EngineTask] = [:]
    private var buffered = 0
    private var unsent: [(task: EngineTask, ready: Double, transfer: Double)] = []
    private var firstUnsent = 0

    /// Called with a request whose prompt is computed: its number and the time.
    var onPrompt: (Int, Double) -> Void = { _, _ in }
    /// Called with a request's first token made in a step after it joined.
    var onFirst: (Int, Double) -> Void = { _, _ in }
    /// Called with a request's last token.
    var onEnd: (Int, Double) -> Void = { _, _ in }

    init(timing: Timing, limits: EngineLimits) {
        self.timing = timing
        self.limits = limits
    }

    /// When something happens here next: a step ends, or a hand-off arrives.
    var nextEvent: Double { min(stepEnd, arrivals.first?.key ?? .infinity) }

    /// What the engine's metrics say of it.
    var load: EngineLoad {
        let isCut = firstWaiting < waiting.count && waiting[firstWaiting].computed > 0
        return EngineLoad(
            time: 0, running: running + prompts.count, waiting: waiting.count - firstWaiting - (isCut ? 1 : 0),
            cacheUsage: min(1, Double(contextTokens) / Double(max(1, limits.kvTokens))))
    }

    /// Adds a request that can be scheduled from `now` on. All steps that end before must have been run.
    func submit(_ task: EngineTask, at now: Double) {
        waiting.append(task)
        if stepEnd == .infinity { begin(at: now) }
    }

    /// Adds a request whose KV cache is ready to be sent at `ready` and takes `transfer` ms to arrive.
    ///
    /// While the PD buffer has no room, the transfer waits.
    func send(_ task: EngineTask, ready: Double, transfer: Double) {
        unsent.append((task, ready, transfer))
        startTransfers(at: ready)
    }

    /// Runs every step that ends before `time`.
    func advance(to time: Double) {
        while true {
            if let arrival = arrivals.first, arrival.key < stepEnd, arrival.key < time {
                _ = arrivals.removeFirst()
                if let task = arriving.removeValue(forKey: arrival.value) { submit(task, at: arrival.key) }
            } else if stepEnd < time {
                end()
            } else {
                return
            }
        }
    }

    private func startTransfers(at now: Double) {
        while firstUnsent < unsent.count {
            let next = unsent[firstUnsent]
            guard buffered == 0 || buffered + next.task.contextTokens <= limits.bufferTokens else { return }
            buffered += next.task.contextTokens
            arriving[next.task.request] = next.task
            arrivals.insert(max(now, next.ready) + next.transfer, next.task.request)
            firstUnsent += 1
        }
        if firstUnsent > 1_024, firstUnsent * 2 > unsent.count {
            unsent.removeFirst(firstUnsent)
            firstUnsent = 0
        }
    }

    /// Starts a step, or becomes idle.
    private func begin(at now: Double) {
        var budget = max(1, limits.batchedTokens - running)
        var work = 0.0
        var promptTokens = 0
        var stall = 0.0
        prompts.removeAll(keepingCapacity: true)
        joined.removeAll(keepingCapacity: true)
        while firstWaiting < waiting.count, budget > 0 {
            var task = waiting[firstWaiting]
            guard running + prompts.count + 1 <= limits.sequences else { break }
            if task.computed == 0 {
                // A request larger than the whole cache runs alone rather than never.
                guard reserved == 0 || reserved + task.reservedTokens <= limits.kvTokens else { break }
            }
            if task.promptTokens == 0 {
                reserved += task.reservedTokens
                firstWaiting += 1
                buffered = max(0, buffered - task.contextTokens)
                stall += task.stall
                running += 1
                budget -= 1
                contextTokens += task.contextTokens
                joined.append(task)
                continue
            }
            let rest = task.promptTokens - task.computed
            if rest > budget, !limits.chunksPrompts, !prompts.isEmpty { break }
            if task.computed == 0 { reserved += task.reservedTokens }
            let tokens = limits.chunksPrompts ? min(rest, budget) : rest
            work += timing.promptWork(tokens: tokens, cached: task.computed)
            promptTokens += tokens
            budget -= tokens
            task.computed += tokens
            prompts.append(task)
            if task.computed < task.promptTokens {
                // The rest stays at the head of the queue.
                waiting[firstWaiting] = task
                break
            }
            firstWaiting += 1
        }
        peakReserved = max(peakReserved, reserved)
        compact()
        if !joined.isEmpty, firstUnsent < unsent.count { startTransfers(at: now) }
        guard running > 0 || !prompts.isEmpty else {
            stepEnd = .infinity
            return
        }
        let time =
            timing.stepMilliseconds(
                prompts: prompts.count, promptTokens: promptTokens, work: work, running: running,
                contextTokens: contextTokens) + stall + limits.stepMilliseconds
        busy += time
        stepEnd = now + time
    }

    private func compact() {
        guard firstWaiting > 1_024, firstWaiting * 2 > waiting.count else { return }
        waiting.removeFirst(firstWaiting)
        firstWaiting = 0
    }

    /// Ends the current step and starts the next.
    private func end() {
        let now = stepEnd
        step += 1
        contextTokens += running
        for task in joined {
            onFirst(task.request, now)
            tasks[task.request] = task
            ends.insert(step + task.outputTokens - 1, task.request)
        }
        joined.removeAll(keepingCapacity: true)
        while let next = ends.first, next.key <= step {
            _ = ends.removeFirst()
            if let task = tasks.removeValue(forKey: next.value) {
                running -= 1
                contextTokens -= task.contextTokens + task.outputTokens
                reserved -= task.reservedTokens
            }
            onEnd(next.value, now)
        }
        for task in prompts where task.computed >= task.promptTokens {
            onPrompt(task.request, now)
            if task.outputTokens > 0 {
                running += 1
                contextTokens += task.contextTokens
                tasks[task.request] = task
                ends.insert(step + task.outputTokens, task.request)
            } else {
                reserved -= task.reservedTokens
            }
        }
        prompts.removeAll(keepingCapacity: true)
        begin(at: now)
    }
}
