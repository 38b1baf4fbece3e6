/// Reads traces of lengths and arrival times.
///
/// - Mooncake, JSON lines: `timestamp` (milliseconds), `input_length`, `output_length`, `hash_ids` (one a block of 512
///   tokens; equal ids are equal text).
/// - Azure LLM inference, CSV: `TIMESTAMP` (date and time), `ContextTokens`, `GeneratedTokens`.
enum TraceReader {
    /// Tokens of one Mooncake block.
    static let blockTokens = 512
    /// Longer ones are errors of the file.
    private static let maximumTokens = 10_000_000

    /// The requests, by arrival.
    static func read(_ bytes: [UInt8], _ path: String) throws(CommandError) -> [BenchItem] {
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        guard let first = lines.first(where: { !isBlank($0) }) else { throw CommandError("\(path) is empty") }
        var items: [BenchItem] = []
        let isJSON = first.first { $0 != 0x20 } == UInt8(ascii: "{")
        var columns: AzureColumns?
        for (number, line) in lines.enumerated() where !isBlank(line) {
            func wrong(_ reason: String) -> CommandError { CommandError("\(path):\(number + 1): \(reason)") }
            if isJSON {
                guard let view = try? JSONView(parsing: Array(line)) else { throw wrong("no JSON object") }
                guard let item = mooncake(view) else {
                    throw wrong("expected timestamp, input_length and output_length as numbers")
                }
                items.append(item)
            } else {
                let fields = line.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { field in
                    String(decoding: field.filter { $0 != 0x22 && $0 != 0x0D }, as: UTF8.self)
                }
                guard let known = columns else {
                    guard let found = AzureColumns(fields) else {
                        throw wrong(
                            "neither JSON lines with timestamp, input_length, output_length nor a CSV with the columns "
                                + "TIMESTAMP, ContextTokens, GeneratedTokens")
                    }
                    columns = found
                    continue
                }
                guard let item = known.item(fields) else {
                    throw wrong("expected a time such as 2023-11-16 18:15:46.680 and two numbers of tokens")
                }
                items.append(item)
            }
        }
        guard !items.isEmpty else { throw CommandError("\(path) has no request") }
        items.sort { ($0.arrival ?? 0) < ($1.arrival ?? 0) }
        let start = items.first?.arrival ?? 0
        for index in items.indices { items[index].arrival = (items[index].arrival ?? 0) - start }
        return items
    }

    private static func isBlank(_ line: ArraySlice<UInt8>) -> Bool { line.allSatisfy { $0 == 0x20 || $0 == 0x0D } }

    private static func mooncake(_ view: JSONView) -> BenchItem? {
        guard let milliseconds = view["timestamp"]?.double, (0...1e12).contains(milliseconds),
            let input = tokens(view["input_length"]?.int), let output = tokens(view["output_length"]?.int)
        else { return nil }
        let blocks = (view["hash_ids"]?.elements ?? []).compactMap(\.int)
        return BenchItem(
            blocks.isEmpty ? .tokens(input) : .blocks(blocks, tokens: input), outputTokens: output,
            arrival: Int(milliseconds * 1e6))
    }

    private static func tokens(_ count: Int?) -> Int? {
        count.flatMap { (0...maximumTokens).contains($0) ? max(1, $0) : nil }
    }

    private struct AzureColumns {
        private let time: Int
        private let input: Int
        private let output: Int

        init?(_ header: [String]) {
            let names = header.map { $0.lowercased() }
            guard let time = names.firstIndex(where: { $0.hasSuffix("timestamp") }),
                let input = names.firstIndex(of: "contexttokens"), let output = names.firstIndex(of: "generatedtokens")
            else { return nil }
            (self.time, self.input, self.output) = (time, input, output)
        }

        func item(_ fields: [String]) -> BenchItem? {
            guard fields.indices.contains(time), fields.indices.contains(input), fields.indices.contains(output),
                let arrival = TraceTime.nanoseconds(fields[time]), let prompt = TraceReader.tokens(Int(fields[input])),
                let answer = TraceReader.tokens(Int(fields[output]))
            else { return nil }
            return BenchItem(.tokens(prompt), outputTokens: answer, arrival: arrival)
        }
    }
}
