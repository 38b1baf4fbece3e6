import Testing

@testable import DisaggCore

@Suite("Stop matcher")
struct StopMatcherTests {
    private func run(_ pieces: [String], stops: [String], include: Bool = false) -> (shown: [String], stop: String?) {
        var matcher = StopMatcher(stops: stops, includeStop: include)
        var shown: [String] = []
        for (index, piece) in pieces.enumerated() {
            let stop = matcher.append(piece, searching: true)
            shown.append(matcher.take(finished: stop != nil || index == pieces.count - 1))
            if let stop { return (shown, stop) }
        }
        return (shown, nil)
    }

    @Test("finds a stop string across token boundaries and trims it")
    func acrossTokens() {
        let result = run(["ab", "EN", "D!", "cd"], stops: ["END"])
        #expect(result.shown.joined() == "ab")
        #expect(result.stop == "END")
    }

    @Test("keeps the stop string where the request wants it, and drops what follows")
    func included() {
        #expect(run(["abEN", "D!x"], stops: ["END"], include: true).shown.joined() == "abEND")
    }

    @Test("holds back one scalar less than the longest stop string while streaming")
    func holdsBack() {
        #expect(run(["abcd", "efgh", "ij"], stops: ["XYZ"]).shown == ["ab", "cdef", "ghij"])
    }

    @Test("the first string of the list wins where two match")
    func order() {
        #expect(run(["one two"], stops: ["two", "one"]).stop == "two")
    }

    @Test("shows the same text for long outputs, whose shown part is forgotten")
    func longOutput() {
        let pieces = (0..<2_000).map { "w\($0) " }
        #expect(run(pieces, stops: ["never"]).shown.joined() == pieces.joined())
        #expect(run(pieces + ["ne", "ver"], stops: ["never"]).shown.joined() == pieces.joined())
    }
}
