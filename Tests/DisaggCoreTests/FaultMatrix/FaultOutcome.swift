@testable import DisaggCore

/// What came of a cell of the fault matrix.
struct FaultOutcome: Sendable {
    /// What the client saw.
    enum Seen: Sendable, Equatable {
        /// The answer of an engine alone.
        case right
        /// An error, whole and in the engine's or OpenAI's shape.
        case error(Int)
        /// A stream that had begun, ended by an error event and `[DONE]`.
        case brokenStream
        /// A stream of nothing but an error event and `[DONE]`.
        case errorEvent
        /// The client had left.
        case gone
        /// No end within the deadline.
        case hung
        case malformed(String)

        var text: String {
            switch self {
            case .right: "right"
            case .error(let status): "\(status)"
            case .brokenStream: "error event"
            case .errorEvent: "only an error event"
            case .gone: "–"
            case .hung: "HUNG"
            case .malformed: "MALFORMED"
            }
        }
    }

    let cell: FaultCell
    private(set) var seen: [Seen] = []
    private(set) var seconds: [Double] = []
    /// Seconds from the client's leaving until nothing was held.
    var secondsToFree: Double?
    /// What the ledgers say beside being clean.
    private(set) var notes: [String] = []
    /// What no cell may have.
    var problems: [String] = []

    init(cell: FaultCell) { self.cell = cell }

    mutating func add(_ seen: Seen, after duration: Duration) {
        self.seen.append(seen)
        seconds.append(Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18)
        switch seen {
        case .hung: problems.append("no answer within \(FaultCell.deadline)")
        case .malformed(let text): problems.append("malformed: \(text)")
        default: break
        }
        if cell.mustBeRight, seen != .right { problems.append("not the right answer: \(seen.text)") }
    }

    /// Takes an engine's ledger in.
    ///
    /// - Parameter isFreeable: whether an engine is left that could free what a prefill engine holds.
    mutating func add(_ ledger: KVLedger, of engine: String, isFreeable: Bool) {
        if ledger.killed { return }
        var ledger = ledger
        if !isFreeable { ledger.leaked = 0 }
        if ledger.dead { problems.append("\(engine) crashed") }
        for (name, count) in [
            ("held", ledger.held), ("leaked", ledger.leaked), ("freed twice", ledger.doubleFreed),
            ("out of order", ledger.protocolViolations), ("stuck", ledger.stuck),
        ] where count > 0 { problems.append("\(engine) \(name) \(count)") }
        if ledger.expired > 0 { notes.append("\(engine) expired") }
        if ledger.unknownPulls > 0 { notes.append("\(engine) asked for unknown KV") }
    }

    /// The cell's text in the table: what was seen, how long it took, what the ledgers say.
    var text: String {
        let parts = zip(seen, seconds).map { seen, seconds in
            seen == .gone ? "\(seen.text) \(Self.tenths(secondsToFree ?? 0))" : "\(seen.text) \(Self.tenths(seconds))"
        }
        let unique = parts.count > 1 && seen.allSatisfy { $0 == seen[0] } ? [parts.max() ?? ""] : parts
        return (unique + notes + problems.map { "**\($0)**" }).joined(separator: "; ")
    }

    private static func tenths(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
