internal import CLinuxSockets

/// The system's random bytes, fetched many at a time: an id takes 16 of them, and a system call for each would be a
/// tenth of a short request's calls.
struct RandomPool: RandomNumberGenerator {
    private static let words = 256

    private var pool: [UInt64] = []
    private var left = 0

    mutating func next() -> UInt64 {
        if left == 0 { refill() }
        left -= 1
        return pool[left]
    }

    private mutating func refill() {
        if pool.isEmpty { pool = Array(repeating: 0, count: Self.words) }
        let filled = pool.withUnsafeMutableBytes { getrandom($0.baseAddress, $0.count, 0) }
        if filled != Self.words * 8 {
            var system = SystemRandomNumberGenerator()
            for index in pool.indices { pool[index] = system.next() }
        }
        left = pool.count
    }
}
