/// One metric with all its samples, ready to be written as text or published to another metrics backend.
package struct MetricFamily: Sendable, Equatable {
    /// How a metric's values go on from one reading to the next.
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    /// A sample's number.
    package enum Value: Sendable, Equatable {
        case integer(Int)
        case decimal(Double)
        case histogram(MetricHistogram)
    }

    /// A value under its labels.
    package struct Sample: Sendable, Equatable {
        package var labels: [(name: String, value: String)]
        package var value: Value

        package static func == (left: Sample, right: Sample) -> Bool {
            left.value == right.value && left.labels.elementsEqual(right.labels, by: ==)
        }
    }

    /// The name as it is scraped; a counter's ends with `_total`.
    package let name: String
    package let kind: Kind
    /// What the metric means, in a sentence.
    package let help: String
    package private(set) var samples: [Sample] = []

    package init(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        self.kind = kind
        self.help = help
    }

    /// A metric with one sample that has no labels.
    package init(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
        self.init(name, kind, help)
        add(value)
    }

    /// Adds a sample.
    package mutating func add(_ value: Int, _ labels: [(String, String)] = []) { add(.integer(value), labels) }

    /// Adds a sample that is a histogram.
    package mutating func add(_ value: MetricHistogram, _ labels: [(String, String)] = []) {
        add(.histogram(value), labels)
    }

    /// Adds a sample.
    package mutating func add(_ value: Value, _ labels: [(String, String)] = []) {
        samples.append(Sample(labels: labels.map { (name: $0.0, value: $0.1) }, value: value))
    }
}
