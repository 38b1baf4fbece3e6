import CoreMetrics
import NIOConcurrencyHelpers
import Testing

@testable import DisaggCore

/// A metrics backend that remembers what it was told.
private final class RecordingMetrics: MetricsFactory, Sendable {
    private let values = NIOLockedValueBox<[String: Double]>([:])
    private let gone = NIOLockedValueBox<[String]>([])

    var all: [String: Double] { values.withLockedValue { $0 } }
    var destroyed: [String] { gone.withLockedValue { $0 } }

    final class Handler: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
        let name: String
        let owner: RecordingMetrics
        init(_ name: String, _ owner: RecordingMetrics) {
            self.name = name
            self.owner = owner
        }
        private func add(_ value: Double) { owner.values.withLockedValue { $0[name, default: 0] += value } }
        func increment(by amount: Int64) { add(Double(amount)) }
        func increment(by amount: Double) { add(amount) }
        func reset() {}
        func set(_ value: Int64) { set(Double(value)) }
        func set(_ value: Double) { owner.values.withLockedValue { $0[name] = value } }
        func decrement(by amount: Double) { add(-amount) }
        func record(_ value: Int64) {}
        func record(_ value: Double) {}
        func recordNanoseconds(_ duration: Int64) {}
    }

    private func make(_ label: String, _ dimensions: [(String, String)]) -> Handler {
        Handler(label + dimensions.map { "{\($0.0)=\($0.1)}" }.joined(), self)
    }
    private func drop(_ handler: Any) {
        if let handler = handler as? Handler { gone.withLockedValue { $0.append(handler.name) } }
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { make(label, dimensions) }
    func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler { make(label, dimensions) }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { make(label, dimensions) }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        make(label, dimensions)
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { make(label, dimensions) }
    func destroyCounter(_ handler: any CounterHandler) { drop(handler) }
    func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { drop(handler) }
    func destroyMeter(_ handler: any MeterHandler) { drop(handler) }
    func destroyRecorder(_ handler: any RecorderHandler) { drop(handler) }
    func destroyTimer(_ handler: any TimerHandler) { drop(handler) }
}

@Suite("Metrics for an embedding application")
struct MetricsBridgeTests {
    private func page(requests: Int, open: Int, times: [Int64]) -> [MetricFamily] {
        var counter = MetricFamily("x_total", .counter, "")
        counter.add(requests, [("code", "200")])
        var histogram = MetricHistogram(.init(microseconds: [1000, 1_000_000]))
        for time in times { histogram.observe(nanoseconds: time) }
        var seconds = MetricFamily("x_seconds", .histogram, "")
        seconds.add(histogram)
        return [counter, MetricFamily("x_open", .gauge, "", open), seconds]
    }

    @Test("a backend hears what was added since the last time, and gauges as they are")
    func differences() {
        let backend = RecordingMetrics()
        let bridge = MetricsBridge(to: backend)
        bridge.publish(page(requests: 2, open: 5, times: [500_000]))
        bridge.publish(page(requests: 7, open: 1, times: [500_000, 500_000_000, 2_000_000_000]))
        bridge.publish(page(requests: 7, open: 1, times: [500_000, 500_000_000, 2_000_000_000]))
        #expect(backend.all["x_total{code=200}"] == 7)
        #expect(backend.all["x_open"] == 1)
        #expect(backend.all["x_seconds_bucket{le=0.001}"] == 1)
        #expect(backend.all["x_seconds_bucket{le=1.0}"] == 2)
        #expect(backend.all["x_seconds_bucket{le=+Inf}"] == 3)
        #expect(backend.all["x_seconds_count"] == 3)
        #expect(abs((backend.all["x_seconds_sum"] ?? 0) - 2.5005) < 1e-9)
    }

    @Test("what is not on the page any more is taken off the backend")
    func withdrawal() {
        let backend = RecordingMetrics()
        let bridge = MetricsBridge(to: backend)
        bridge.publish(page(requests: 1, open: 1, times: []))
        bridge.publish([MetricFamily("x_open", .gauge, "", 2)])
        #expect(backend.destroyed.contains("x_total{code=200}"))
        #expect(!backend.destroyed.contains("x_open"))
        bridge.withdraw()
        #expect(backend.destroyed.contains("x_open"))
    }
}
