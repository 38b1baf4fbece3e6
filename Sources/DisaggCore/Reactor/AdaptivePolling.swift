/// Decides whether a loop that has nothing to do looks for events a little longer before it sleeps.
///
/// To sleep and be woken costs tens of microseconds, on a virtual machine more, and the waker pays a part of it. Where
/// the next event comes sooner than that, looking is cheaper for both sides; where it does not, looking burns a core for
/// nothing. So every wait is timed, and the loop looks only while the waits were short lately: like the kernel's halt
/// polling for virtual machines, but without trial, since the time slept is known too. Against engines that compute for
/// milliseconds it never looks at all.
struct AdaptivePolling: Sendable {
    /// How long to look at most, and below which average wait to look at all, in nanoseconds.
    let window: Int64
    /// Moving average of the waits, in nanoseconds.
    private(set) var averageWait: Int64 = .max / 16

    /// Whether the next event is thought to come soon.
    @inline(__always)
    var isWorthwhile: Bool { averageWait <= window }

    /// Takes in how long the loop has waited for an event.
    @inline(__always)
    mutating func waited(_ nanoseconds: Int64) {
        // One wait of an idle second must not be remembered for a thousand busy ones.
        let bounded = min(max(0, nanoseconds), 16 &* window)
        averageWait = min(averageWait, 16 &* window)
        averageWait &+= (bounded &- averageWait) / 8
    }
}
