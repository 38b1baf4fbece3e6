/// When the steps of one request happened, and what follows from it: the length of its stages, and the proxy's own part.
///
/// Times are nanoseconds of a monotonic clock. Where a leg is sent again, the last attempt counts for the stages; the waits
/// of all attempts count for the proxy's own part.
package struct RequestTimeline: Sendable, Equatable {
    /// When the request was complete.
    package let started: UInt64
    private var queued: Int64?
    private var prefillSent: UInt64?
    private var prefillAnswered: UInt64?
    private var decodeSent: UInt64?
    private var decodeAnswered: UInt64?
    private var firstByteAt: UInt64?
    private var endedAt: UInt64?
    /// Waits for others that are open: two where both legs run at the same time.
    private var openWaits = 0
    private var waitingSince: UInt64 = 0
    private var waited: Int64 = 0

    package init(started: UInt64) { self.started = started }

    // MARK: What happens

    /// The request begins to wait for something that is not the proxy: its turn, an engine, a notification.
    package mutating func beginWait(at now: UInt64) {
        if openWaits == 0 { waitingSince = now }
        openWaits += 1
    }

    /// One such wait is over.
    package mutating func endWait(at now: UInt64) {
        guard openWaits > 0 else { return }
        openWaits -= 1
        if openWaits == 0 { waited &+= Self.nanoseconds(from: waitingSince, to: now) }
    }

    /// The request got its turn.
    package mutating func admitted(at now: UInt64) { queued = Self.nanoseconds(from: started, to: now) }

    /// The prefill leg was sent.
    package mutating func prefillSent(at now: UInt64) {
        prefillSent = now
        prefillAnswered = nil
        beginWait(at: now)
    }

    /// The prefill leg ended, whatever came of it.
    package mutating func prefillEnded(at now: UInt64, succeeded: Bool) {
        if succeeded { prefillAnswered = now }
        endWait(at: now)
    }

    /// The decode leg was sent.
    package mutating func decodeSent(at now: UInt64) {
        decodeSent = now
        decodeAnswered = nil
        beginWait(at: now)
    }

    /// The decode leg began to answer, or failed before it did.
    package mutating func decodeAnswered(at now: UInt64, succeeded: Bool) {
        if succeeded { decodeAnswered = now }
        endWait(at: now)
    }

    /// The first byte of the answer was given to the client's connection.
    package mutating func firstByte(at now: UInt64) { if firstByteAt == nil { firstByteAt = now } }

    /// The request is over.
    package mutating func ended(at now: UInt64) { if endedAt == nil { endedAt = now } }

    // MARK: What follows, in nanoseconds; nil where the stage was not gone through

    /// From the request to its turn.
    package var queue: Int64? { queued }
    /// From the prefill leg's dispatch to its answer.
    package var prefill: Int64? { Self.nanoseconds(from: prefillSent, to: prefillAnswered) }
    /// From the prefill's answer to the decode leg's dispatch: notifications are waited for here.
    package var handoff: Int64? {
        guard let prefillAnswered, let decodeSent else { return nil }
        // Where both legs are sent at once there is no gap.
        return decodeSent >= prefillAnswered ? Self.nanoseconds(from: prefillAnswered, to: decodeSent) : 0
    }
    /// From the decode leg's dispatch to the first byte of its answer.
    package var decodeFirstByte: Int64? { Self.nanoseconds(from: decodeSent, to: decodeAnswered) }
    /// From the request to the first byte for the client.
    package var firstByte: Int64? { Self.nanoseconds(from: started, to: firstByteAt) }
    /// From the request to its end.
    package var total: Int64? { Self.nanoseconds(from: started, to: endedAt) }
    /// What the proxy itself added to the time to the first byte: all of it in which nothing else was waited for.
    package var overhead: Int64? {
        guard let firstByteAt else { return nil }
        let open = openWaits > 0 ? Self.nanoseconds(from: waitingSince, to: firstByteAt) : 0
        return max(0, Self.nanoseconds(from: started, to: firstByteAt) - waited - open)
    }

    /// The mean time between two tokens of a stream.
    ///
    /// - Parameter events: how many came. vLLM sends one a token, and `[DONE]` together with the last.
    package func perEvent(_ events: Int) -> Int64? {
        guard events > 2, let firstByteAt, let endedAt else { return nil }
        return Self.nanoseconds(from: firstByteAt, to: endedAt) / Int64(events - 2)
    }

    private static func nanoseconds(from start: UInt64?, to end: UInt64?) -> Int64? {
        guard let start, let end else { return nil }
        return nanoseconds(from: start, to: end)
    }

    private static func nanoseconds(from start: UInt64, to end: UInt64) -> Int64 {
        end > start ? Int64(clamping: end - start) : 0
    }
}
