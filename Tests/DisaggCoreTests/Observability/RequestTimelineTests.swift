import Testing

@testable import DisaggCore

@Suite("Stages of a request")
struct RequestTimelineTests {
    private let ms: UInt64 = 1_000_000

    @Test("the stages of a hand-off in turn add up to the first byte, and the rest is the proxy's own part")
    func sequential() {
        var timeline = RequestTimeline(started: 100 * ms)
        timeline.beginWait(at: 101 * ms)
        timeline.endWait(at: 111 * ms)
        timeline.admitted(at: 111 * ms)
        timeline.prefillSent(at: 112 * ms)
        timeline.prefillEnded(at: 212 * ms, succeeded: true)
        timeline.beginWait(at: 213 * ms)
        timeline.endWait(at: 220 * ms)
        timeline.decodeSent(at: 221 * ms)
        timeline.decodeAnswered(at: 241 * ms, succeeded: true)
        timeline.firstByte(at: 242 * ms)
        timeline.ended(at: 442 * ms)
        #expect(timeline.queue == 11_000_000)
        #expect(timeline.prefill == 100_000_000)
        #expect(timeline.handoff == 9_000_000)
        #expect(timeline.decodeFirstByte == 20_000_000)
        #expect(timeline.firstByte == 142_000_000)
        #expect(timeline.total == 342_000_000)
        #expect(timeline.overhead == 5_000_000)
        // Ten tokens, and [DONE] with the last: nine pauses.
        #expect(timeline.perEvent(11) == 22_222_222)
    }

    @Test("legs that run at the same time are waited for once")
    func concurrent() {
        var timeline = RequestTimeline(started: 0)
        timeline.prefillSent(at: 1 * ms)
        timeline.decodeSent(at: 2 * ms)
        timeline.prefillEnded(at: 50 * ms, succeeded: true)
        timeline.decodeAnswered(at: 60 * ms, succeeded: true)
        timeline.firstByte(at: 61 * ms)
        #expect(timeline.handoff == 0)
        #expect(timeline.overhead == 2_000_000)
    }

    @Test("a leg that failed has no stage, and its time is not the proxy's")
    func failedLeg() {
        var timeline = RequestTimeline(started: 0)
        timeline.prefillSent(at: 0)
        timeline.prefillEnded(at: 300 * ms, succeeded: false)
        timeline.decodeSent(at: 301 * ms)
        timeline.decodeAnswered(at: 311 * ms, succeeded: true)
        timeline.firstByte(at: 311 * ms)
        timeline.ended(at: 311 * ms)
        #expect(timeline.prefill == nil)
        #expect(timeline.handoff == nil)
        #expect(timeline.overhead == 1_000_000)
    }

    @Test("a request that got no byte has neither a first byte nor a time for each event")
    func nothing() {
        var timeline = RequestTimeline(started: 0)
        timeline.ended(at: 5 * ms)
        #expect(timeline.firstByte == nil)
        #expect(timeline.overhead == nil)
        #expect(timeline.perEvent(12) == nil)
        #expect(timeline.total == 5_000_000)
    }
}
