import DequeModule

/// The PD receive buffer of one rank of an LMCache decoder, as a pure machine counted in chunks.
///
/// It has no eviction: pages leave only when a request whose prompt they belong to retrieves them. Source:
/// LMCache 0.5.x `pd_backend_async.py`, `cache_engine.py` 949-958; Docs/EngineFacts.md rows 5 and 17.
struct PDBuffer {
    /// The answer to a reservation.
    enum Reservation: Equatable { case granted, waiting, duplicate }

    /// What a retrieve found.
    struct Retrieval: Equatable {
        /// Chunks that were there and are free now.
        var freed = 0
        /// Chunks of the same prefill that did not match and can never be retrieved any more.
        var stranded = 0
        /// Every chunk of the prefill matched.
        var isHit = false
        /// Waiting reservations that have room now, oldest first.
        var granted: [String] = []
    }

    private struct Entry {
        var keys: [Int]
        var isStored = false
    }

    private let capacity: Int
    /// Chunks in use, stranded ones included.
    private(set) var used = 0
    private var entries: [String: Entry] = [:]
    private var waiting: Deque<(id: String, keys: [Int])> = []
    /// Stored prefills by their last chunk's key, oldest first. Keys are chained, so the last one names the whole prompt.
    private var byLastKey: [Int: [String]] = [:]
    /// Stored prefills of several chunks by the key before the last.
    private var byInnerKey: [Int: [String]] = [:]

    init(capacity: Int) { self.capacity = capacity }

    /// Asks for room for a prefill. While an older one waits, a younger one waits too.
    mutating func reserve(_ id: String, keys: [Int]) -> Reservation {
        guard entries[id] == nil, !waiting.contains(where: { $0.id == id }) else { return .duplicate }
        guard waiting.isEmpty, used + keys.count <= capacity else {
            waiting.append((id, keys))
            return .waiting
        }
        admit(id, keys)
        return .granted
    }

    /// The KV of a granted prefill has arrived. False where there is no such reservation.
    mutating func store(_ id: String) -> Bool {
        guard let entry = entries[id], !entry.isStored else { return false }
        entries[id]?.isStored = true
        if let last = entry.keys.last { byLastKey[last, default: []].append(id) }
        if entry.keys.count > 1 { byInnerKey[entry.keys[entry.keys.count - 2], default: []].append(id) }
        return true
    }

    /// How many of a prompt's first chunks are here, in one prefill; asking changes nothing.
    func heldChunks(_ keys: [Int]) -> Int {
        entries.values.reduce(0) { most, entry in
            guard entry.isStored else { return most }
            return max(most, zip(entry.keys, keys).prefix { $0 == $1 }.count)
        }
    }

    /// The sender is gone: what it reserved and did not send is free. Returns the freed chunks and who has room now.
    mutating func cancel(_ id: String) -> (freed: Int, granted: [String]) {
        waiting.removeAll { $0.id == id }
        var freed = 0
        if let entry = entries[id], !entry.isStored {
            entries[id] = nil
            freed = entry.keys.count
            used -= freed
        }
        return (freed, admitWaiting())
    }

    /// A request with these prompt chunks is admitted: its pages are read and freed.
    mutating func retrieve(_ keys: [Int]) -> Retrieval {
        var result = Retrieval()
        for key in keys.reversed() {
            guard let id = byLastKey[key]?.first, let entry = entries[id] else { continue }
            remove(id, entry)
            result.freed = entry.keys.count
            result.isHit = true
            break
        }
        if !result.isHit, let (id, entry) = innerMatch(keys) {
            // All chunks but the last partial one match: that page stays for ever.
            remove(id, entry)
            result.freed = entry.keys.count - 1
            result.stranded = 1
            used += 1
        }
        result.granted = admitWaiting()
        return result
    }

    private func innerMatch(_ keys: [Int]) -> (String, Entry)? {
        for key in keys.reversed() {
            if let id = byInnerKey[key]?.first, let entry = entries[id] { return (id, entry) }
        }
        return nil
    }

    private mutating func remove(_ id: String, _ entry: Entry) {
        entries[id] = nil
        used -= entry.keys.count
        func drop(_ key: Int, from index: inout [Int: [String]]) {
            index[key]?.removeAll { $0 == id }
            if index[key]?.isEmpty == true { index[key] = nil }
        }
        if let last = entry.keys.last { drop(last, from: &byLastKey) }
        if entry.keys.count > 1 { drop(entry.keys[entry.keys.count - 2], from: &byInnerKey) }
    }

    private mutating func admit(_ id: String, _ keys: [Int]) {
        entries[id] = Entry(keys: keys)
        used += keys.count
    }

    private mutating func admitWaiting() -> [String] {
        var granted: [String] = []
        while let next = waiting.first, used + next.keys.count <= capacity {
            waiting.removeFirst()
            admit(next.id, next.keys)
            granted.append(next.id)
        }
        return granted
    }
}
