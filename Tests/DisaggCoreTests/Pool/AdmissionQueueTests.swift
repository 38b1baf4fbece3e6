import Testing

@testable import DisaggCore

@Suite("Admission queue")
struct AdmissionQueueTests {
    /// Admits whoever is first, until nobody waits.
    private func order(_ queue: inout AdmissionQueue<String>) -> [String] {
        var order: [String] = []
        var next = queue.roomFreed()
        while let (ticket, waiter) = next {
            order.append(waiter)
            next = queue.decided(ticket, admitted: true)
        }
        return order
    }

    @Test("tenants take turns, a tenant's requests go in order of arrival, and priority goes before both")
    func fair() {
        var queue = AdmissionQueue<String>(capacity: 100)
        for name in ["a1", "a2", "a3"] { _ = queue.arrive(name, tenant: 1, priority: 0) }
        _ = queue.arrive("b1", tenant: 2, priority: 0)
        _ = queue.arrive("c1", tenant: 3, priority: 5)
        _ = queue.arrive("d1", tenant: 1, priority: -1)
        _ = queue.arrive("b2", tenant: 2, priority: 0)
        #expect(order(&queue) == ["d1", "a1", "b1", "a2", "b2", "a3", "c1"])
        #expect(queue.count == 0)
    }

    @Test("the queue is bounded")
    func bounded() {
        var queue = AdmissionQueue<String>(capacity: 2)
        let first = queue.arrive("a", tenant: 1, priority: 0)
        #expect(first != nil && queue.arrive("b", tenant: 2, priority: 0) != nil)
        #expect(queue.arrive("c", tenant: 3, priority: 0) == nil)
        if let first { _ = queue.leave(first) }
        #expect(queue.arrive("c", tenant: 3, priority: 0) != nil)
        var none = AdmissionQueue<String>(capacity: 0)
        #expect(none.arrive("a", tenant: 1, priority: 0) == nil)
    }

    @Test("only the first is tried, and room that became free meanwhile is not lost")
    func noLostWakeup() throws {
        var queue = AdmissionQueue<String>(capacity: 10)
        _ = queue.arrive("long", tenant: 1, priority: 0)
        _ = queue.arrive("short", tenant: 2, priority: 0)
        let triedFound = queue.roomFreed()
        let tried = try #require(triedFound)
        #expect(tried.waiter == "long" && queue.roomFreed() == nil)
        let againFound = queue.decided(tried.ticket, admitted: false)
        let again = try #require(againFound)
        #expect(again.waiter == "long")
        #expect(queue.decided(again.ticket, admitted: false) == nil)
        #expect(queue.roomFreed()?.waiter == "long")
        #expect(queue.decided(again.ticket, admitted: true)?.waiter == "short")
    }

    @Test("a waiter that leaves while it is tried hands its turn on")
    func leaves() throws {
        var queue = AdmissionQueue<String>(capacity: 10)
        let firstFound = queue.arrive("a", tenant: 1, priority: 0)
        let first = try #require(firstFound)
        let secondFound = queue.arrive("b", tenant: 1, priority: 0)
        let second = try #require(secondFound)
        _ = queue.arrive("c", tenant: 1, priority: 0)
        #expect(queue.leave(second) == nil)
        #expect(queue.roomFreed()?.waiter == "a")
        #expect(queue.leave(first)?.waiter == "c")
        #expect(queue.leave(first) == nil && queue.count == 1)
    }
}

/// Random arrivals, departures and verdicts against a list that is searched.
@Suite("Admission queue, random sequences")
struct AdmissionQueueFuzzTests {
    @Test("nobody is lost, tried twice at once, or passed over")
    func random() {
        for seed in 0..<UInt64(Fuzzing.iterations(300)) {
            var generator = SeededGenerator(seed: seed)
            var queue = AdmissionQueue<Int>(capacity: 20)
            var waiting: [Int: AdmissionQueue<Int>.Ticket] = [:]
            var trying: (ticket: AdmissionQueue<Int>.Ticket, waiter: Int)?
            for number in 0..<200 {
                switch Int.random(in: 0..<4, using: &generator) {
                case 0, 1:
                    let ticket = queue.arrive(
                        number, tenant: UInt64.random(in: 0..<4, using: &generator),
                        priority: Int.random(in: 0..<3, using: &generator))
                    #expect((ticket == nil) == (waiting.count == 20), "seed \(seed)")
                    if let ticket { waiting[number] = ticket }
                    if trying == nil { trying = queue.roomFreed() } else { #expect(queue.roomFreed() == nil) }
                case 2:
                    guard
                        let (waiter, ticket) = waiting.sorted(by: { $0.key < $1.key }).randomElement(using: &generator)
                    else { continue }
                    waiting[waiter] = nil
                    let next = queue.leave(ticket)
                    if waiter == trying?.waiter { trying = next } else { #expect(next == nil, "seed \(seed)") }
                default:
                    guard let tried = trying else { continue }
                    let admitted = Bool.random(using: &generator)
                    if admitted { waiting[tried.waiter] = nil }
                    trying = queue.decided(tried.ticket, admitted: admitted)
                }
                #expect(queue.count == waiting.count, "seed \(seed)")
                if let trying { #expect(waiting[trying.waiter] == trying.ticket, "seed \(seed)") }
            }
        }
    }
}
