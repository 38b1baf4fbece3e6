package import CoreMetrics
internal import NIOConcurrencyHelpers

/// Publishes the proxy's numbers to the metrics backend that an embedding application has bootstrapped.
///
/// The data plane counts in plain integers. Now and then they are read and the backend is told what was added since:
/// counters grow by the difference, gauges are set. A histogram becomes what Prometheus would show of it: one counter for
/// each bucket with its bound as the label `le`, cumulative, and the counters `_sum` and `_count`. So nothing is lost,
/// and a query that works on the proxy's own page works on the backend's.
package final class MetricsBridge: Sendable {
    private struct Key: Hashable {
        let name: String
        let labels: [String]
    }

    private enum Handle {
        case counter(any CounterHandler, last: Int64)
        case sum(any FloatingPointCounterHandler, lastNanoseconds: Int64)
        case meter(any MeterHandler)
    }

    private let factory: any MetricsFactory
    private let handles = NIOLockedValueBox<[Key: Handle]>([:])

    /// Creates a bridge to a backend.
    package init(to factory: any MetricsFactory) { self.factory = factory }

    /// A bridge to the bootstrapped backend; nil where there is none, so that nothing is read for nobody.
    package static var bootstrapped: MetricsBridge? {
        let factory = MetricsSystem.factory
        return factory is NOOPMetricsHandler ? nil : MetricsBridge(to: factory)
    }

    /// Tells the backend what has changed since the last call. What is not there any more, as the numbers of a backend that
    /// was removed, is taken off it.
    package func publish(_ families: [MetricFamily]) {
        handles.withLockedValue { handles in
            var round = Round(before: handles)
            for family in families {
                for sample in family.samples { publish(family, sample, &round) }
            }
            handles = round.now
            for handle in round.before.values { destroy(handle) }
        }
    }

    /// Takes the proxy's metrics off the backend.
    package func withdraw() { publish([]) }

    /// Handles that were used before and not in this round yet, and those of this round.
    private struct Round {
        var before: [Key: Handle]
        var now: [Key: Handle] = [:]
    }

    private func destroy(_ handle: Handle) {
        switch handle {
        case .counter(let counter, _): factory.destroyCounter(counter)
        case .sum(let counter, _): factory.destroyFloatingPointCounter(counter)
        case .meter(let meter): factory.destroyMeter(meter)
        }
    }

    private func publish(_ family: MetricFamily, _ sample: MetricFamily.Sample, _ round: inout Round) {
        let labels = sample.labels.map { ($0.name, $0.value) }
        switch sample.value {
        case .integer(let value) where family.kind == .counter:
            count(family.name, labels, to: Int64(value), &round)
        case .integer(let value): set(family.name, labels, to: Double(value), &round)
        case .decimal(let value): set(family.name, labels, to: value, &round)
        case .histogram(let histogram):
            var running: Int64 = 0
            for (bound, count) in zip(histogram.bounds.nanoseconds, histogram.counts) {
                running += Int64(count)
                let bucket = labels + [("le", PrometheusText.seconds(bound))]
                self.count(family.name + "_bucket", bucket, to: running, &round)
            }
            let all = Int64(histogram.count)
            count(family.name + "_bucket", labels + [("le", "+Inf")], to: all, &round)
            count(family.name + "_count", labels, to: all, &round)
            sum(family.name + "_sum", labels, to: histogram.nanoseconds, &round)
        }
    }

    private static func key(_ name: String, _ labels: [(String, String)]) -> Key {
        Key(name: name, labels: labels.flatMap { [$0.0, $0.1] })
    }

    private func count(_ name: String, _ labels: [(String, String)], to value: Int64, _ round: inout Round) {
        let key = Self.key(name, labels)
        var counter: any CounterHandler
        var last: Int64 = 0
        if case .counter(let known, let before) = round.before.removeValue(forKey: key) {
            counter = known
            last = before
        } else {
            counter = factory.makeCounter(label: name, dimensions: labels)
        }
        // An engine that was removed and added again counts from zero.
        let added = value >= last ? value - last : value
        if added > 0 { counter.increment(by: added) }
        round.now[key] = .counter(counter, last: value)
    }

    private func sum(
        _ name: String, _ labels: [(String, String)], to nanoseconds: Int64, _ round: inout Round
    ) {
        let key = Self.key(name, labels)
        var counter: any FloatingPointCounterHandler
        var last: Int64 = 0
        if case .sum(let known, let before) = round.before.removeValue(forKey: key) {
            counter = known
            last = before
        } else {
            counter = factory.makeFloatingPointCounter(label: name, dimensions: labels)
        }
        let added = nanoseconds >= last ? nanoseconds - last : nanoseconds
        if added > 0 { counter.increment(by: Double(added) / 1e9) }
        round.now[key] = .sum(counter, lastNanoseconds: nanoseconds)
    }

    private func set(_ name: String, _ labels: [(String, String)], to value: Double, _ round: inout Round) {
        let key = Self.key(name, labels)
        var meter: any MeterHandler
        if case .meter(let known) = round.before.removeValue(forKey: key) {
            meter = known
        } else {
            meter = factory.makeMeter(label: name, dimensions: labels)
        }
        meter.set(value)
        round.now[key] = .meter(meter)
    }
}
