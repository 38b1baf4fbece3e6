/// Why a pool's membership was not changed.
package enum PoolError: Error, Sendable, Hashable, CustomStringConvertible {
    /// There is no backend with that id.
    case unknown(String)
    /// There is one with that id already.
    case duplicate(String)
    /// It still has requests or KV that is waited for.
    case notDrained(String)

    package var description: String {
        switch self {
        case .unknown(let id): "there is no backend \"\(id)\""
        case .duplicate(let id): "there is a backend \"\(id)\" already; remove it first, or choose another id"
        case .notDrained(let id): "backend \"\(id)\" is not drained; drain it and wait until it is"
        }
    }
}
