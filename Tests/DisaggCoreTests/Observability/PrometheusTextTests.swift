import Testing

@testable import DisaggCore

@Suite("The metrics page")
struct PrometheusTextTests {
    private func families() -> [MetricFamily] {
        var counter = MetricFamily("x_requests_total", .counter, "Requests.")
        counter.add(3, [("code", "200"), ("what", "a \"b\" \\ c\nd")])
        var histogram = MetricHistogram(.init(microseconds: [500, 2_000_000]))
        histogram.observe(nanoseconds: 400_000)
        histogram.observe(nanoseconds: 1_500_000_000)
        histogram.observe(nanoseconds: 3_000_000_000)
        var times = MetricFamily("x_seconds", .histogram, "Times.")
        times.add(histogram, [("stage", "a")])
        return [counter, MetricFamily("x_open", .gauge, "Open.", 7), times]
    }

    @Test("format 0.0.4 has cumulative buckets, escaped labels and whole names")
    func prometheus() {
        let expected = """
            # HELP x_requests_total Requests.
            # TYPE x_requests_total counter
            x_requests_total{code="200",what="a \\"b\\" \\\\ c\\nd"} 3
            # HELP x_open Open.
            # TYPE x_open gauge
            x_open 7
            # HELP x_seconds Times.
            # TYPE x_seconds histogram
            x_seconds_bucket{stage="a",le="0.0005"} 1
            x_seconds_bucket{stage="a",le="2.0"} 2
            x_seconds_bucket{stage="a",le="+Inf"} 3
            x_seconds_sum{stage="a"} 4.5004
            x_seconds_count{stage="a"} 3

            """
        #expect(PrometheusText.page(families()) == expected)
    }

    @Test("OpenMetrics names a counter's family without the suffix and ends with EOF")
    func openMetrics() {
        let page = PrometheusText.page(families(), format: .openMetrics)
        #expect(page.contains("# TYPE x_requests counter\nx_requests_total{"))
        #expect(page.hasSuffix("# EOF\n"))
    }

    @Test(
        "the format is the one that Accept asks for",
        arguments: [
            (nil, PrometheusText.Format.prometheus), ("*/*", .prometheus), ("text/plain", .prometheus),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8,text/plain;version=0.0.4;q=0.5", .openMetrics),
            ("application/openmetrics-text;version=2.0.0", .prometheus),
            ("application/openmetrics-text;q=0", .prometheus),
        ] as [(String?, PrometheusText.Format)])
    func negotiation(accept: String?, format: PrometheusText.Format) {
        #expect(PrometheusText.Format.asked(by: accept) == format)
    }

    @Test(
        "nanoseconds are written as exact seconds",
        arguments: [
            (Int64(0), "0.0"), (1, "0.000000001"), (25_000, "0.000025"), (1_000_000_000, "1.0"),
            (-1_500_000_000, "-1.5"),
            (Int64.max, "9223372036.854775807"),
        ])
    func seconds(nanoseconds: Int64, text: String) {
        #expect(PrometheusText.seconds(nanoseconds) == text)
    }
}
