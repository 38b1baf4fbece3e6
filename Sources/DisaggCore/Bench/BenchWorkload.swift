/// Gives the requests of a benchmark one after the other.
struct BenchWorkload {
    private let dataset: BenchDataset
    private let shape: BenchItem
    private let rangeRatio: Double
    private var random: SeededRandom
    private var next: Int
    /// The file's requests in the order they are sent: a trace's own, conversations shuffled.
    private let order: [Int]

    init(_ settings: BenchSettings) {
        dataset = settings.dataset
        rangeRatio = settings.rangeRatio
        let prompt = settings.promptBytes.map(BenchItem.Prompt.bytes) ?? .tokens(settings.inputTokens)
        shape = BenchItem(prompt, outputTokens: settings.outputTokens)
        random = SeededRandom(seed: settings.seed, stream: 4)
        var order = Array(settings.dataset.items.indices)
        if settings.dataset.kind == .sharegpt { order.shuffle(using: &random) }
        self.order = order
        next = 0
    }

    /// The places in the file of the requests that come first.
    func upcoming(_ count: Int) -> ArraySlice<Int> { order.prefix(count) }

    /// The next request. A file that is used up begins anew.
    mutating func draw() -> BenchItem {
        guard !order.isEmpty else { return BenchItem(drawPrompt(), outputTokens: vary(shape.outputTokens)) }
        let item = dataset.items[order[next % order.count]]
        next += 1
        return item
    }

    private mutating func drawPrompt() -> BenchItem.Prompt {
        switch shape.prompt {
        case .tokens(let count): .tokens(vary(count))
        case .bytes(let count): .bytes(vary(count))
        case .text, .blocks: shape.prompt
        }
    }

    /// A length within the range around it, each equally likely.
    private mutating func vary(_ count: Int) -> Int {
        guard rangeRatio > 0 else { return count }
        let spread = Int(Double(count) * rangeRatio)
        return max(1, Int.random(in: count - spread...count + spread, using: &random))
    }
}
