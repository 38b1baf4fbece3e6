internal import CLinuxSockets
internal import DequeModule
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
    private static let receiveBytes = 64 << 10
    /// Room for what is read and relayed in one batch of events.
    private static let receiveCapacity = 512 << 10
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
    /// When the last turn ended.
    private var clock = NIODeadline.uptimeNanoseconds(0)
    /// An empty queue with room, for the next socket that writes.
    var spareQueue = Deque<ByteBuffer>()
    /// Requests that are with an engine.
    var exchanges = 0
    private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: Reactor.maximumEvents)
    private let receiveBuffer: UnsafeMutableRawBufferPointer
    /// Where the next read may go; before it lie bytes that are to be sent after this batch of events.
    private var receiveOffset = 0
    private var postponed: [Postponed] = []
    private var nextPostponed = 0
    private var postpones = false

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
        receiveBuffer = .allocate(byteCount: Self.receiveCapacity, alignment: 64)
        postponed.reserveCapacity(Self.maximumEvents)
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
        clock = .now()
        while !mustStop { step() }
        end()
    }

    /// Runs what is queued, waits for events or the next timer, and deals with what came.
    package func turn() {
        clock = .now()
        step()
    }

    private func step() {
        runTasks()
        let count = wait()
        postpones = count > 1
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
        postpones = false
        sendPostponed()
        // A slot is given anew only when no event of this batch can mean its former source.
        if !retiredSlots.isEmpty {
            freeSlots.append(contentsOf: retiredSlots)
            retiredSlots.removeAll(keepingCapacity: true)
        }
        // Asked once a turn: for the timers, and for how long to wait next.
        clock = .now()
        while timers.next <= clock, let task = timers.popDue(at: clock) { task() }
    }

    private func wait() -> CInt {
        let limit = waitMilliseconds()
        // With several requests under way the pauses are for other loops' work and the engines'.
        guard limit != 0, exchanges <= 1 else { return takeEvents(limit) }
        let start = clock
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
        guard timers.next < .distantFuture else { return -1 }
        let left = (timers.next - clock).nanoseconds
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

    // MARK: Bytes that are read and relayed

    /// Bytes in the receive buffer that a socket is to send.
    private struct Postponed {
        var socket: StreamSocket
        var start: Int
        var count: Int
    }

    /// Room for one read; what is read there stays until the next read, or until it was sent.
    @inline(__always)
    var readRoom: UnsafeMutableRawBufferPointer {
        if receiveOffset &+ Self.receiveBytes > receiveBuffer.count { sendPostponed() }
        let start = receiveOffset
        return UnsafeMutableRawBufferPointer(rebasing: receiveBuffer[start..<start &+ Self.receiveBytes])
    }

    /// Sends bytes that were just read after the other events of this batch were dealt with, and without a copy.
    ///
    /// A receiver on the same machine is woken once for the batch then, and not between any two of its reads.
    ///
    /// - Returns: false where the bytes are not in the receive buffer, or nothing else is waiting.
    @inline(__always)
    func postpone(_ bytes: UnsafeRawBufferPointer, to socket: StreamSocket) -> Bool {
        guard postpones, let base = receiveBuffer.baseAddress, let first = bytes.baseAddress else { return false }
        let start = first - UnsafeRawPointer(base)
        guard start >= receiveOffset, start &+ bytes.count <= receiveBuffer.count else { return false }
        receiveOffset = start &+ bytes.count
        postponed.append(Postponed(socket: socket, start: start, count: bytes.count))
        return true
    }

    /// Sends what was postponed.
    func sendPostponed() {
        guard !postponed.isEmpty else { return }
        // A socket that becomes unwritable tells its owner, who may not write into the same buffer now.
        let mayPostpone = postpones
        postpones = false
        // The place is kept outside: an owner that closes another socket has the rest sent from here.
        while nextPostponed < postponed.count {
            let entry = postponed[nextPostponed]
            nextPostponed &+= 1
            entry.socket.sendPostponed(
                UnsafeRawBufferPointer(rebasing: receiveBuffer[entry.start..<entry.start &+ entry.count]))
        }
        postponed.removeAll(keepingCapacity: true)
        nextPostponed = 0
        receiveOffset = 0
        postpones = mayPostpone
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
        // Not weak: whoever holds the promise holds the loop, and its references would be counted the slow way.
        let scheduled = Scheduled(promise: promise) { [self] in
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
