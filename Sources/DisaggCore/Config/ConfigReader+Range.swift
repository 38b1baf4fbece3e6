extension ConfigReader {
    /// A number in a range.
    package mutating func number(_ node: YAMLNode, at path: String, in range: ClosedRange<Double>) -> Double? {
        guard let value = number(node, at: path) else { return nil }
        guard range.contains(value) else {
            note("expected a number in \(range), got \(node.summary)", at: path, mark: node.mark)
            return nil
        }
        return value
    }
}
