import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

@Suite("Reactor", .timeLimit(.minutes(1)))
struct ReactorTests {
    private func withReactor(_ body: (Reactor) async throws -> Void) async throws {
        let reactor = try Reactor(name: "test")
        try await body(reactor)
        await reactor.stop()
    }

    @Test("tasks of other threads run on the loop's own, in their order")
    func execute() async throws {
        try await withReactor { reactor in
            let seen = NIOLockedValueBox<[Int]>([])
            for number in 0..<1000 {
                reactor.execute { seen.withLockedValue { $0.append(reactor.inEventLoop ? number : -1) } }
            }
            try await reactor.submit {}.get()
            #expect(seen.withLockedValue { $0 } == Array(0..<1000))
            #expect(!reactor.inEventLoop)
        }
    }

    @Test("scheduled tasks run by deadline, then in the order they were given; cancelled ones do not run")
    func timers() async throws {
        try await withReactor { reactor in
            let seen = NIOLockedValueBox<[String]>([])
            let now = NIODeadline.now()
            let last = try await reactor.submit {
                func at(_ milliseconds: Int64, _ name: String) -> Scheduled<Void> {
                    reactor.scheduleTask(deadline: now + .milliseconds(milliseconds)) {
                        seen.withLockedValue { $0.append(name) }
                    }
                }
                let last = at(30, "last")
                _ = at(10, "b")
                let cancelled = at(5, "cancelled")
                _ = at(10, "c")
                _ = at(-5, "a")
                cancelled.cancel()
                return last
            }.get()
            try await last.futureResult.get()
            #expect(seen.withLockedValue { $0 } == ["a", "b", "c", "last"])
        }
    }

    @Test("cancelled timers do not pile up")
    func cancelledTimers() {
        var timers = ReactorTimers()
        let timer = ReactorTimers.Timer(run: {}, fail: {})
        let kept = ReactorTimers.makeID()
        timers.add(timer, id: kept, at: .now() + .hours(1))
        for _ in 0..<10_000 {
            let id = ReactorTimers.makeID()
            timers.add(timer, id: id, at: .now() + .minutes(10))
            timers.cancel(id)
        }
        #expect(timers.storedEntries < 2_000)
        #expect(timers.popDue(at: .now() + .hours(2)) != nil)
        #expect(timers.popDue(at: .now() + .hours(2)) == nil)
        #expect(timers.storedEntries == 0 && timers.next == .distantFuture)
    }

    @Test("a stopped loop fails what was scheduled and still runs what is given to it")
    func stop() async throws {
        let reactor = try Reactor(name: "test")
        let scheduled = reactor.scheduleTask(in: .hours(1)) {}
        await reactor.stop()
        await #expect(throws: EventLoopError.self) { try await scheduled.futureResult.get() }
        let ran = NIOLockedValueBox(false)
        reactor.execute { reactor.execute { ran.withLockedValue { $0 = reactor.inEventLoop } } }
        #expect(ran.withLockedValue { $0 })
        await #expect(throws: EventLoopError.self) {
            try await reactor.scheduleTask(in: .milliseconds(1)) {}.futureResult.get()
        }
    }

    @Test("a stopped loop leaves no descriptor and no thread behind")
    func leavesNothing() async throws {
        func descriptors() -> Int { ProcFile.names(in: "/proc/self/fd")?.count ?? 0 }
        // The first one sets up what stays for the process.
        await (try Reactor(name: "test")).stop()
        let before = descriptors()
        for _ in 0..<50 { await (try Reactor(name: "test")).stop() }
        #expect(descriptors() <= before + 4)
    }
}
