internal import HeapModule
internal import NIOCore
internal import Synchronization

/// The scheduled tasks of one reactor, earliest first.
struct ReactorTimers {
    /// A task and what ends it where it never runs.
    struct Timer: Sendable {
        var run: @Sendable () -> Void
        var fail: @Sendable () -> Void
    }

    private struct Entry: Comparable {
        var deadline: NIODeadline
        /// Ids grow, so tasks of one deadline run in their order.
        var id: UInt64

        static func < (left: Entry, right: Entry) -> Bool {
            left.deadline == right.deadline ? left.id < right.id : left.deadline < right.deadline
        }
    }

    private static let lastID = Atomic<UInt64>(0)
    /// Cancelled entries stay in the heap until this many more than live ones are in it.
    private static let maximumDead = 1024

    private var heap = Heap<Entry>()
    private var timers: [UInt64: Timer] = [:]
    private var isClosed = false

    static func makeID() -> UInt64 { lastID.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Entries that take memory, cancelled ones included.
    var storedEntries: Int { heap.count }

    /// The earliest deadline, that of a cancelled task perhaps; `distantFuture` where there is none.
    private(set) var next = NIODeadline.distantFuture

    mutating func add(_ timer: Timer, id: UInt64, at deadline: NIODeadline) {
        guard !isClosed else { return timer.fail() }
        timers[id] = timer
        heap.insert(Entry(deadline: deadline, id: id))
        next = min(next, deadline)
    }

    mutating func cancel(_ id: UInt64) {
        timers[id] = nil
        if heap.count > 2 * timers.count + Self.maximumDead {
            heap = Heap(heap.unordered.filter { timers[$0.id] != nil })
            noteNext()
        }
    }

    /// Takes out a task whose time has come.
    mutating func popDue(at now: NIODeadline) -> (() -> Void)? {
        defer { noteNext() }
        while let first = heap.min, first.deadline <= now {
            heap.removeMin()
            if let timer = timers.removeValue(forKey: first.id) { return timer.run }
        }
        return nil
    }

    private mutating func noteNext() { next = heap.min?.deadline ?? .distantFuture }

    /// Ends every task without running it, and those to come.
    mutating func close() {
        isClosed = true
        let all = timers
        timers = [:]
        heap = Heap()
        noteNext()
        for timer in all.values { timer.fail() }
    }
}
