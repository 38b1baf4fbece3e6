import Testing

@testable import DisaggCore

@Suite("Search for the highest goodput")
struct GoodputSearchTests {
    /// Plays a server that keeps its objectives up to a rate.
    private func search(limit: Double, start: Double = 1, runs: Int = 30) -> (best: Double?, runs: Int) {
        var search = GoodputSearch(start: start, maximumRuns: runs)
        var count = 0
        while let rate = search.next {
            count += 1
            search.take(attained: rate <= limit ? 1 : 0.5)
        }
        return (search.best, count)
    }

    @Test(
        "the limit is found within five per cent, from below and from above", arguments: [0.05, 0.9, 1, 7.3, 640],
        [1.0, 50])
    func found(limit: Double, start: Double) throws {
        let (best, runs) = search(limit: limit, start: start)
        let rate = try #require(best)
        #expect(rate <= limit && rate >= limit / 1.06)
        #expect(runs < 25)
    }

    @Test("a server that never keeps them ends the search without a rate, one that always does at the end of all rates")
    func ends() throws {
        #expect(search(limit: 0).best == nil)
        #expect(try #require(search(limit: .infinity).best) > 50_000)
        #expect(search(limit: 100, runs: 3) == (4, 3))
    }
}
