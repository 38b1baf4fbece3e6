internal import DequeModule

/// Requests that wait for a backend, and whose turn it is. No clock, no threads, no pool.
///
/// The order is: priority, lower first; among equals one request of each tenant in turn; of a tenant in order of arrival.
/// So a tenant with a thousand requests delays another's one by one request.
///
/// Only the first is ever tried: were others let past it, a request with a long prompt could wait for ever behind short
/// ones. One request is tried at a time, and what becomes free meanwhile is not lost:
///
/// | state  | input              | then                                                  |
/// |--------|--------------------|-------------------------------------------------------|
/// | idle   | room became free   | the first is tried                                    |
/// | trying | room became free   | remembered                                            |
/// | trying | it was admitted    | the next is tried                                     |
/// | trying | it found no room   | first again; tried again where room became free since |
/// | any    | a waiter leaves    | the next is tried where it was the one tried          |
package struct AdmissionQueue<Waiter: Sendable>: Sendable {
    /// Names a waiting request.
    package struct Ticket: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct Entry {
        let ticket: Ticket
        let waiter: Waiter
    }

    /// Tenants of one priority.
    private struct Level {
        var turns: Deque<UInt64> = []
        var queues: [UInt64: Deque<Entry>] = [:]
    }

    private struct Place {
        let priority: Int
        let tenant: UInt64
    }

    private let capacity: Int
    private var levels: [Int: Level] = [:]
    private var priorities: [Int] = []
    private var places: [Ticket: Place] = [:]
    private var trying: Ticket?
    private var roomWasFreed = false
    private var nextNumber: UInt64 = 0

    /// Creates an empty queue.
    ///
    /// - Parameter capacity: most requests that wait.
    package init(capacity: Int) { self.capacity = capacity }

    /// Requests that wait, the one that is tried included.
    package var count: Int { places.count }

    /// Lets a request wait.
    ///
    /// - Returns: nil where the queue is full.
    package mutating func arrive(_ waiter: Waiter, tenant: UInt64, priority: Int) -> Ticket? {
        guard places.count < capacity else { return nil }
        let ticket = Ticket(number: nextNumber)
        nextNumber += 1
        places[ticket] = Place(priority: priority, tenant: tenant)
        if levels[priority] == nil {
            priorities.insert(priority, at: priorities.firstIndex { $0 > priority } ?? priorities.endIndex)
        }
        var level = levels.removeValue(forKey: priority) ?? Level()
        if level.queues[tenant] == nil { level.turns.append(tenant) }
        level.queues[tenant, default: []].append(Entry(ticket: ticket, waiter: waiter))
        levels[priority] = level
        return ticket
    }

    /// A backend may have room.
    ///
    /// - Returns: whom to try now.
    package mutating func roomFreed() -> (ticket: Ticket, waiter: Waiter)? {
        guard trying == nil else {
            roomWasFreed = true
            return nil
        }
        return tryFirst()
    }

    /// What became of the request that was tried.
    ///
    /// - Returns: whom to try next.
    package mutating func decided(_ ticket: Ticket, admitted: Bool) -> (ticket: Ticket, waiter: Waiter)? {
        guard ticket == trying else { return nil }
        trying = nil
        if admitted { remove(ticket) }
        guard admitted || roomWasFreed else { return nil }
        return tryFirst()
    }

    /// A request waits no more: its client left, or its time is over.
    ///
    /// - Returns: whom to try next, where it was the one being tried.
    package mutating func leave(_ ticket: Ticket) -> (ticket: Ticket, waiter: Waiter)? {
        remove(ticket)
        guard ticket == trying else { return nil }
        trying = nil
        return tryFirst()
    }

    private mutating func tryFirst() -> (ticket: Ticket, waiter: Waiter)? {
        roomWasFreed = false
        guard let priority = priorities.first, let tenant = levels[priority]?.turns.first,
            let entry = levels[priority]?.queues[tenant]?.first
        else { return nil }
        trying = entry.ticket
        return (entry.ticket, entry.waiter)
    }

    private mutating func remove(_ ticket: Ticket) {
        guard let place = places.removeValue(forKey: ticket),
            var level = levels.removeValue(forKey: place.priority),
            var queue = level.queues.removeValue(forKey: place.tenant)
        else { return }
        let wasFirst = queue.first?.ticket == ticket
        if wasFirst { queue.removeFirst() } else { queue.removeAll { $0.ticket == ticket } }
        if queue.isEmpty {
            level.turns.removeAll { $0 == place.tenant }
        } else {
            level.queues[place.tenant] = queue
            // It had its turn.
            if wasFirst, level.turns.first == place.tenant { level.turns.append(level.turns.removeFirst()) }
        }
        if level.turns.isEmpty {
            priorities.removeAll { $0 == place.priority }
        } else {
            levels[place.priority] = level
        }
    }
}
