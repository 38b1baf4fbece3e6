import Testing

@testable import DisaggCore

@Suite("Reports of a benchmark")
struct BenchReportTests {
    @Test("slices of a run double where there are too many, and nothing is lost")
    func timeline() {
        var timeline = BenchTimeline()
        timeline.begin(at: 1000)
        for second in 0..<500 {
            timeline.note(at: 1000 + second * 1_000_000_000) { slice in
                slice.started += 1
                slice.ttft.add(second)
            }
            timeline.tokens(second == 3 ? 7 : 2, at: 1000 + second * 1_000_000_000)
        }
        #expect(timeline.slices.count <= 240 && timeline.width == 4_000_000_000)
        #expect(timeline.slices.reduce(0) { $0 + $1.started } == 500)
        #expect(timeline.slices.reduce(0) { $0 + $1.tokens } == 1005)
        #expect(timeline.slices[0].ttft.count == 4 && timeline.slices[0].ttft.maximum == 3)
        #expect(timeline.slices[0].ttft.mean == 1.5 && timeline.peakTokensPerSecond == 7)
        let plotted = timeline.condensed(to: 60)
        #expect(plotted.slices.count == 32 && plotted.slices.reduce(0) { $0 + $1.tokens } == 1005)
    }

    @Test("axes have four to eight round numbers that cover the range", arguments: [0.003, 0.7, 1, 9.99, 123, 86_400])
    func ticks(high: Double) {
        let ticks = SVGPlot.ticks(from: 0, to: high)
        #expect((3...9).contains(ticks.count), "\(ticks)")
        #expect(ticks.first == 0 && (ticks.last ?? 0) >= high * 0.999)
    }

    @Test("a plot of nothing, of one value, and with gaps is still a plot")
    func plots() {
        func plot(_ points: [(x: Double, y: Double?)]) -> String {
            SVGPlot(title: "a<b", unit: "ms", xUnit: "s", series: [.init(name: "x", style: "a", points: points)]).html
        }
        #expect(plot([]).contains("a&lt;b") && !plot([]).contains("<polyline"))
        #expect(plot([(1, 2)]).contains("<circle"))
        let gap = plot([(0, 1), (1, 2), (2, nil), (3, 1), (4, 0)])
        #expect(gap.split(separator: "<polyline").count == 3)
    }

    @Test("text from a server is no markup in a page")
    func escaping() {
        #expect(HTMLText.escaped("<b>\"&") == "&lt;b&gt;&quot;&amp;")
        #expect(HTMLText.table([["a", "b"], ["<", "1"]]).contains("<th>&lt;</th><td>1</td>"))
    }

    @Test("the progress line fits the terminal, with a bar where there is room")
    func progress() {
        let progress = BenchControl.Progress(
            isWarmup: false, seconds: 12.5, succeeded: 15, failed: 0, open: 3, requests: 30, limit: nil,
            tokensPerSecond: 250)
        let wide = progress.line(columns: 120)
        #expect(wide.contains("50 %") && wide.contains("15/30 requests, 3 under way, 250 tokens/s"))
        #expect(wide.count { $0 == "█" } == wide.count { $0 == "░" })
        for columns in [10, 40, 60, 80, 200] { #expect(progress.line(columns: columns).count < columns + 1) }
    }
}
