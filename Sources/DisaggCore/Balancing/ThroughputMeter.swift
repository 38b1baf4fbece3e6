internal import Glibc

/// Measures how many tokens a prefill engine computes in a second of being busy.
///
/// Tokens and busy time are both forgotten exponentially, so the quotient follows changes and stays right where several
/// prefills end together. A prefill has a fixed part that does not depend on its length; it counts as
/// ``requestTokens`` tokens, which makes the speed nearly the same for short and long prompts.
package struct ThroughputMeter: Sendable {
    /// The fixed part of a prefill, in tokens: 20.8 ms for 128 and 110 ms for 4,096 tokens (`TimingTable.h200Llama8B`)
    /// give 31,000 and 42,000 tokens in a second with it, 6,000 and 37,000 without.
    package static let requestTokens = 512
    /// Seconds of being busy before the speed is told: an engine that was thought slow for a single prefill would get no
    /// chance to show otherwise.
    private static let leastBusySeconds = 0.5
    /// Time after which an observation has lost all but a third of its weight, in seconds of being busy.
    private static let memory = 10.0

    private var running = 0
    private var last: UInt64 = 0
    private var busySeconds = 0.0
    private var tokens = 0.0
    /// Whether a prefill has ended: the first one also makes connections and fills code caches, and does not count.
    private var isWarm = false

    package init() {}

    /// Tokens in a second; nil before enough was observed.
    package var tokensPerSecond: Double? {
        tokens > 0 && busySeconds >= Self.leastBusySeconds ? tokens / busySeconds : nil
    }

    package mutating func began(at now: UInt64) {
        advance(to: now)
        running += 1
    }

    package mutating func ended(tokens count: Int, at now: UInt64) {
        advance(to: now)
        running = max(0, running - 1)
        guard isWarm else {
            if count > 0 { (isWarm, busySeconds) = (true, 0) }
            return
        }
        if count > 0 { tokens += Double(count + Self.requestTokens) }
    }

    private mutating func advance(to now: UInt64) {
        if running > 0, now > last {
            let seconds = Double(now - last) / 1e9
            let kept = exp(-seconds / Self.memory)
            tokens *= kept
            busySeconds = busySeconds * kept + seconds
        }
        last = max(last, now)
    }
}
