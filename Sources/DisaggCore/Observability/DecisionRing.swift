/// The last requests of one event loop: a fixed number of records, the oldest overwritten first.
package struct DecisionRing: Sendable {
    private var records: [RequestRecord] = []
    private var next = 0
    private let capacity: Int

    /// An empty ring.
    package init(capacity: Int = 64) { self.capacity = max(1, capacity) }

    /// Adds a finished request.
    package mutating func add(_ record: RequestRecord) {
        if records.count < capacity {
            records.append(record)
        } else {
            records[next] = record
        }
        next = (next + 1) % capacity
    }

    /// The records, newest first.
    package var newestFirst: [RequestRecord] {
        let oldest = records.count < capacity ? 0 : next
        return (records[oldest...] + records[..<oldest]).reversed()
    }
}
