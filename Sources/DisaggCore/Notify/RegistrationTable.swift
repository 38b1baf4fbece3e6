/// The engines that say they are there: bounded, and an engine that stays silent is forgotten.
///
/// A pure machine; the caller says what time it is.
package struct RegistrationTable: Sendable {
    private struct Entry {
        var registration: EngineRegistration
        var lastHeard: ContinuousClock.Instant
    }

    /// Engines ping every 3 s; three that are missed in a row are no accident. vLLM's own proxy for P2pNccl forgets after 5 s.
    package static let defaultExpiry = Duration.seconds(10)

    private let capacity: Int
    private let expiry: Duration
    private var entries: [Entry] = []
    /// Registrations of new engines that found no place.
    package private(set) var refused = 0

    /// - Parameters:
    ///   - capacity: most engines.
    ///   - expiry: how long an engine may be silent.
    package init(capacity: Int = 1024, expiry: Duration = RegistrationTable.defaultExpiry) {
        self.capacity = capacity
        self.expiry = expiry
    }

    /// Every engine, in the order in which they were first heard of.
    package var engines: [EngineRegistration] { entries.map(\.registration) }

    /// An engine has pinged. An HTTP address names an engine; what it says last counts.
    ///
    /// - Returns: whether ``engines`` is another list now.
    package mutating func heard(_ registration: EngineRegistration, at now: ContinuousClock.Instant) -> Bool {
        if let index = entries.firstIndex(where: { $0.registration.http == registration.http }) {
            let isNew = entries[index].registration != registration
            entries[index] = Entry(registration: registration, lastHeard: now)
            return isNew
        }
        guard entries.count < capacity else {
            refused += 1
            return false
        }
        entries.append(Entry(registration: registration, lastHeard: now))
        return true
    }

    /// Forgets the engines that have been silent for too long.
    ///
    /// - Returns: whether there were any.
    package mutating func expire(at now: ContinuousClock.Instant) -> Bool {
        let before = entries.count
        entries.removeAll { $0.lastHeard + expiry <= now }
        return entries.count != before
    }
}
