/// Keeps a stream of numbered batches whole: finds gaps, asks for what is missing, and starts over where it cannot be had.
///
/// vLLM numbers batches from 0 and keeps the last ones for replay. A connection begins with a replay, since what was
/// published before it is unknown; a smaller number than expected means a publisher that was restarted.
///
/// | state     | input                              | then                                                  |
/// |-----------|------------------------------------|-------------------------------------------------------|
/// | any       | connected                          | forget all; ask for everything                        |
/// | following | the next batch                     | apply                                                 |
/// | following | a later batch                      | ask for what is missing, leave this one to the replay |
/// | following | batch 0, or one of long ago        | forget all; ask for everything                        |
/// | replaying | a replayed batch                   | apply; where some are missing before it, forget first |
/// | replaying | a live batch                       | left to the replay; asked for again where it is not   |
/// | replaying | the replay's end                   | following                                             |
package struct KVEventStream: Sendable {
    /// What to do.
    package enum Action: Sendable, Equatable {
        /// Forget what is known of the engine's cache.
        case reset
        /// Apply this batch.
        case apply([UInt8])
        /// Ask for all batches from this number on.
        case requestReplay(from: UInt64)
    }

    /// Replayed and live batches overlap: a number this little below the expected one is a repetition, no restart.
    private static let overlap: UInt64 = 10_000

    private let canReplay: Bool
    private var next: UInt64?
    private var isReplaying = false
    private var latestLive: UInt64?
    /// Gaps found so far.
    package private(set) var gaps = 0

    /// - Parameter canReplay: whether the engine has a replay endpoint.
    package init(canReplay: Bool) { self.canReplay = canReplay }

    /// The subscription stands.
    package mutating func connected() -> [Action] {
        next = canReplay ? 0 : nil
        latestLive = nil
        isReplaying = canReplay
        return canReplay ? [.reset, .requestReplay(from: 0)] : [.reset]
    }

    /// A batch came on the subscription.
    package mutating func live(_ number: UInt64, _ payload: [UInt8]) -> [Action] {
        if isReplaying {
            latestLive = max(latestLive ?? number, number)
            return []
        }
        guard let expected = next else {
            next = number &+ 1
            return [.apply(payload)]
        }
        if number == expected {
            next = expected &+ 1
            return [.apply(payload)]
        }
        if number > expected {
            gaps += 1
            guard canReplay else {
                next = number &+ 1
                // What was removed meanwhile is unknown: nothing that is known can be trusted.
                return [.reset, .apply(payload)]
            }
            isReplaying = true
            latestLive = number
            return [.requestReplay(from: expected)]
        }
        guard number == 0 || expected - number > Self.overlap else { return [] }
        guard canReplay else {
            next = number &+ 1
            return [.reset, .apply(payload)]
        }
        return connected()
    }

    /// A batch came from the replay.
    package mutating func replayed(_ number: UInt64, _ payload: [UInt8]) -> [Action] {
        guard isReplaying, let expected = next, number >= expected else { return [] }
        next = number &+ 1
        guard number > expected else { return [.apply(payload)] }
        gaps += 1
        return [.reset, .apply(payload)]
    }

    /// The replay is over, or failed.
    package mutating func replayEnded(complete: Bool) -> [Action] {
        guard isReplaying else { return [] }
        isReplaying = false
        guard let live = latestLive, let expected = next, live >= expected else { return [] }
        if complete {
            // It was published after the replay had been read.
            isReplaying = true
            return [.requestReplay(from: expected)]
        }
        next = live &+ 1
        return [.reset]
    }
}
