internal import CLinuxSockets
package import Dispatch
internal import NIOConcurrencyHelpers
package import NIOCore
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// One thread with one epoll instance: the data plane's event loop.
///
/// Between a token's arrival and its departure lie two system calls and one virtual call; NIO's channels put a pipeline
/// there, which costs more than the calls (Docs/Architecture.md has the measurement). It is a NIO `EventLoop` all the
/// same, so futures, scheduled tasks and loop-bound boxes work with it; only NIO's channels cannot be registered.
///
/// Everything but ``execute(_:)``, the scheduling of tasks and ``stop()`` belongs to its thread.
package final class Reactor: EventLoop, @unchecked Sendable {
    /// What is read at once at most, in bytes; one buffer serves all sockets of the loop.
    static let receiveBytes = 64 << 10
    /// Events taken from the kernel at once.
    private static let maximumEvents = 256
    private static let wakeSlot = UInt64.max

    private struct Mailbox {
        var tasks: [() -> Void] = []
        var isStopped = false
    }

    /// -1 once the loop has ended.
    private var poller: CInt
    private var wake: CInt
    private let afterEnd = NIOLock()
    private let mailbox = NIOLockedValueBox(Mailbox())
    private let hasMail = Atomic<Bool>(false)
    private let thread = Atomic<UInt>(0)
    private let whenStopped: Latch

    // Only touched on the loop's thread.
    private var local: [() -> Void] = []
    private var timers = ReactorTimers()
    private var sources: [ReactorSource?] = []
    private var freeSlots: [Int] = []
    private var retiredSlots: [Int] = []
    private var mustStop = false
    private var polling = AdaptivePolling(window: 200_000)
    /// Requests that are with an engine.
    var exchanges = 0
    private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: Reactor.maximumEvents)
    /// Where sockets are read into; valid until the next read.
    let receiveBuffer: UnsafeMutableRawBufferPointer

    /// Creates a loop and starts its thread.
    ///
    /// - Throws: ``SocketError`` where the system has no descriptors or threads left.
    package convenience init(name: String) throws {
        try self.init()
        try startThread(name: name)
    }

    /// Creates a loop that belongs to the calling thread, which drives it with ``turn()``.
    ///
    /// - Throws: ``SocketError`` where the system has no descriptors left.
    package init() throws {
        poller = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw SocketError("create an epoll instance", errno) }
        wake = eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else {
            let code = errno
            SystemCall.close(poller)
            throw SocketError("create an event descriptor", code)
        }
        receiveBuffer = .allocate(byteCount: Self.receiveBytes, alignment: 64)
        whenStopped = Latch()
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: Self.wakeSlot))
        _ = epoll_ctl(poller, EPOLL_CTL_ADD, wake, &event)
        thread.store(UInt(pthread_self()), ordering: .releasing)
    }

    deinit {
        receiveBuffer.deallocate()
        events.deallocate()
    }

    private func startThread(name: String) throws {
        final class Start {
            let reactor: Reactor
            let name: String
            init(_ reactor: Reactor, _ name: String) {
                self.reactor = reactor
                self.name = name
            }
        }
        thread.store(0, ordering: .releasing)
        var id = pthread_t()
        let start = Unmanaged.passRetained(Start(self, name))
        let code = pthread_create(
            &id, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                pthread_setname_np(pthread_self(), String(start.name.prefix(15)))
                start.reactor.thread.store(UInt(pthread_self()), ordering: .releasing)
                start.reactor.run()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SocketError("start a thread", code)
        }
        pthread_detach(id)
    }

    // MARK: The loop

    private func run() {
        while !mustStop { turn() }
        end()
    }

    /// Runs what is queued, waits for events or the next timer, and deals with what came.
    package func turn() {
        runTasks()
        let count = wait()
        var index = 0
        while index < count {
            let event = events[index]
            index += 1
            if event.data.u64 == Self.wakeSlot {
                var ignored: UInt64 = 0
                _ = read(wake, &ignored, 8)
            } else {
                sources[Int(truncatingIfNeeded: event.data.u64)]?.ready(ReadyEvents(rawValue: event.events))
            }
        }
        // A slot is given anew only when no event of this batch can mean its former source.
        if !retiredSlots.isEmpty {
            freeSlots.append(contentsOf: retiredSlots)
            retiredSlots.removeAll(keepingCapacity: true)
        }
        if !timers.isEmpty {
            let now = NIODeadline.now()
            while let task = timers.popDue(at: now) { task() }
        }
    }

    private func wait() -> CInt {
        let limit = waitMilliseconds()
        // With several requests under way the pauses are for other loops' work and the engines'.
        guard limit != 0, exchanges <= 1 else { return takeEvents(limit) }
        let start = NIODeadline.now()
        var count: CInt = 0
        if polling.isWorthwhile {
            let end = start + .nanoseconds(polling.window)
            repeat { count = takeEvents(0) } while count == 0 && .now() < end
        }
        if count == 0 { count = takeEvents(limit) }
        polling.waited((NIODeadline.now() - start).nanoseconds)
        return count
    }

    private func takeEvents(_ milliseconds: CInt) -> CInt {
        epoll_wait(poller, events.baseAddress, CInt(events.count), milliseconds)
    }

    private func waitMilliseconds() -> CInt {
        guard local.isEmpty, !mustStop else { return 0 }
        guard let next = timers.next else { return -1 }
        let left = (next - .now()).nanoseconds
        // Rounded up: a wake-up before the deadline would only spin.
        return left <= 0 ? 0 : CInt(clamping: (left + 999_999) / 1_000_000)
    }

    private func runTasks() {
        if hasMail.load(ordering: .acquiring) {
            let tasks = mailbox.withLockedValue { box in
                hasMail.store(false, ordering: .relaxed)
                defer { box.tasks = [] }
                return box.tasks
            }
            for task in tasks { task() }
        }
        if !local.isEmpty {
            let tasks = local
            local = []
            for task in tasks { task() }
        }
    }

    private func end() {
        for source in sources { source?.close() }
        // What was queued meanwhile still runs, so that nobody waits for ever.
        timers.close()
        var mayHaveMore = true
        while mayHaveMore {
            runTasks()
            mayHaveMore = mailbox.withLockedValue { box in
                guard box.tasks.isEmpty, local.isEmpty else { return true }
                box.isStopped = true
                // Under the lock that `execute` writes under: nobody writes to what has been closed.
                SystemCall.close(wake)
                SystemCall.close(poller)
                wake = -1
                poller = -1
                return false
            }
        }
        sources = []
        thread.store(0, ordering: .releasing)
        whenStopped.open()
    }

    // MARK: Sources

    /// Watches a source's descriptor.
    func add(_ source: ReactorSource, events: ReadyEvents) -> Bool {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            sources[slot] = source
        } else {
            slot = sources.count
            sources.append(source)
        }
        source.slot = slot
        guard control(EPOLL_CTL_ADD, source, events) else {
            remove(source)
            return false
        }
        return true
    }

    /// Changes what a source waits for.
    func modify(_ source: ReactorSource, events: ReadyEvents) { _ = control(EPOLL_CTL_MOD, source, events) }

    /// Stops or resumes watching, the slot kept: an error or hang-up is reported whatever is asked for.
    func suspend(_ source: ReactorSource) { _ = control(EPOLL_CTL_DEL, source, []) }
    func unsuspend(_ source: ReactorSource, events: ReadyEvents) { _ = control(EPOLL_CTL_ADD, source, events) }

    /// Gives a watched descriptor to another source.
    func replace(_ source: ReactorSource, by other: ReactorSource, events: ReadyEvents) {
        other.slot = source.slot
        sources[source.slot] = other
        source.slot = -1
        modify(other, events: events)
    }

    /// Forgets a source; closing its descriptor ends the watching.
    func remove(_ source: ReactorSource) {
        guard source.slot >= 0 else { return }
        sources[source.slot] = nil
        retiredSlots.append(source.slot)
        source.slot = -1
    }

    private func control(_ operation: CInt, _ source: ReactorSource, _ events: ReadyEvents) -> Bool {
        var event = epoll_event(events: events.rawValue, data: epoll_data_t(u64: UInt64(source.slot)))
        return epoll_ctl(poller, operation, source.descriptor, &event) == 0
    }

    /// Runs a task after the present event, before anything is waited for.
    func `defer`(_ task: @escaping () -> Void) { local.append(task) }

    // MARK: EventLoop

    package var inEventLoop: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    package func execute(_ task: @escaping @Sendable () -> Void) {
        if inEventLoop {
            local.append(task)
            return
        }
        let isStopped = mailbox.withLockedValue { box in
            guard !box.isStopped else { return true }
            box.tasks.append(task)
            hasMail.store(true, ordering: .releasing)
            if box.tasks.count == 1 {
                var one: UInt64 = 1
                _ = write(wake, &one, 8)
            }
            return false
        }
        if isStopped { runAfterEnd(task) }
    }

    /// Runs what comes after the end on the caller's thread, as if it were the loop's: whoever waits for it gets an
    /// error from what it finds closed, instead of waiting for ever.
    private func runAfterEnd(_ task: () -> Void) {
        afterEnd.withLock {
            thread.store(UInt(pthread_self()), ordering: .releasing)
            task()
            while !local.isEmpty { runTasks() }
            thread.store(0, ordering: .releasing)
        }
    }

    package func scheduleTask<T>(
        deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T
    ) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let id = ReactorTimers.makeID()
        let scheduled = Scheduled(promise: promise) { [weak self] in
            guard let self else { return }
            if inEventLoop { timers.cancel(id) } else { execute { self.timers.cancel(id) } }
        }
        let timer = ReactorTimers.Timer(
            run: {
                let isolated = promise.assumeIsolated()
                do { isolated.succeed(try task()) } catch { promise.fail(error) }
            }, fail: { promise.fail(EventLoopError.shutdown) })
        if inEventLoop {
            timers.add(timer, id: id, at: deadline)
        } else {
            execute { self.timers.add(timer, id: id, at: deadline) }
        }
        return scheduled
    }

    package func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: .now() + delay, task)
    }

    package func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        whenStopped.add { queue.async { callback(nil) } }
        execute { self.mustStop = true }
    }

    /// Closes every socket and ends the thread; returns when it ended.
    package func stop() async {
        await withCheckedContinuation { continuation in
            whenStopped.add { continuation.resume() }
            execute { self.mustStop = true }
        }
    }
}

/// Closures that are called once something has happened, at once where it has already.
private final class Latch: Sendable {
    private let state = NIOLockedValueBox<[@Sendable () -> Void]?>([])

    func add(_ waiter: @escaping @Sendable () -> Void) {
        let isOpen = state.withLockedValue { waiters in
            waiters?.append(waiter)
            return waiters == nil
        }
        if isOpen { waiter() }
    }

    func open() {
        let waiting = state.withLockedValue { waiters in
            defer { waiters = nil }
            return waiters ?? []
        }
        for waiter in waiting { waiter() }
    }
}
