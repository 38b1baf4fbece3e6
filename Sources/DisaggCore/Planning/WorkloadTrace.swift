/// Reads traces of requests.
///
/// Three forms are known: lines of JSON objects (Mooncake's traces: `timestamp` in ms, `input_length`, `output_length`), a
/// JSON list (DistServe's: `start_time` in seconds, `prompt_len`, `output_len`), and CSV with a heading (Azure's:
/// `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`; times in seconds).
package enum WorkloadTrace {
    private static let maximumRequests = 2_000_000
    private static let inputNames = ["input_length", "prompt_len", "input_tokens", "ContextTokens", "prompt_tokens"]
    private static let outputNames = [
        "output_length", "output_len", "output_tokens", "GeneratedTokens", "completion_tokens",
    ]

    /// Reads a trace's text.
    ///
    /// - Parameter name: the file's name, for errors.
    /// - Throws: ``CommandError`` that names the line.
    package static func parse(_ text: String, name: String) throws(CommandError) -> [WorkloadRequest] {
        let start = text.first { !$0.isWhitespace }
        var result: [WorkloadRequest]
        if start == "[" {
            result = try list(text, name: name)
        } else if start == "{" {
            result = try lines(text, name: name)
        } else {
            result = try table(text, name: name)
        }
        guard !result.isEmpty else { throw CommandError("\(name): the trace has no request") }
        result.sort { $0.arrival < $1.arrival }
        return result
    }

    private static func list(_ text: String, name: String) throws(CommandError) -> [WorkloadRequest] {
        let json = try view(text, "\(name)")
        var result: [WorkloadRequest] = []
        for (index, element) in json.elements.prefix(maximumRequests).enumerated() {
            result.append(try request(element, "\(name): element \(index)"))
        }
        return result
    }

    private static func lines(_ text: String, name: String) throws(CommandError) -> [WorkloadRequest] {
        var result: [WorkloadRequest] = []
        for (number, line) in text.split(whereSeparator: \.isNewline).prefix(maximumRequests).enumerated() {
            let place = "\(name):\(number + 1)"
            result.append(try request(try view(String(line), place), place))
        }
        return result
    }

    private static func view(_ text: String, _ place: String) throws(CommandError) -> JSONView {
        do {
            return try JSONView(parsing: text)
        } catch {
            throw CommandError("\(place): not JSON: \(error.reason) at byte \(error.offset)")
        }
    }

    private static func request(_ json: JSONView, _ place: String) throws(CommandError) -> WorkloadRequest {
        func number(_ names: [String]) -> Double? { names.lazy.compactMap { json[$0]?.double }.first }
        let arrival = json["timestamp"]?.double ?? number(["start_time", "arrival_time", "arrival"]).map { $0 * 1e3 }
        return try checked(arrival, number(inputNames), number(outputNames), place)
    }

    private static func table(_ text: String, name: String) throws(CommandError) -> [WorkloadRequest] {
        let rows = text.split(whereSeparator: \.isNewline)
        let heading = rows.first.map { $0.split(separator: ",").map(String.init) } ?? []
        let input = heading.firstIndex(where: inputNames.contains)
        let output = heading.firstIndex(where: outputNames.contains)
        let time = heading.firstIndex { ["TIMESTAMP", "timestamp", "start_time", "arrival_time"].contains($0) }
        guard let input, let output, let time else {
            throw CommandError(
                "\(name): the heading has no columns for arrival, prompt and answer; expected for example "
                    + "start_time,input_tokens,output_tokens")
        }
        var result: [WorkloadRequest] = []
        var first: Double?
        for (number, row) in rows.dropFirst().prefix(maximumRequests).enumerated() {
            let cells = row.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let place = "\(name):\(number + 2)"
            guard cells.count > max(input, output, time), let seconds = seconds(cells[time]) else {
                throw CommandError("\(place): expected \(heading.joined(separator: ",")), got \(row)")
            }
            first = first ?? seconds
            let arrival = (seconds - (first ?? 0)) * 1e3
            result.append(try checked(arrival, Double(cells[input]), Double(cells[output]), place))
        }
        return result
    }

    /// Seconds as a number, or `2023-11-16 18:17:03.9799600` as seconds of its month.
    private static func seconds(_ cell: String) -> Double? {
        if let value = Double(cell) { return value }
        let parts = cell.split { $0 == "-" || $0 == " " || $0 == ":" || $0 == "T" }.compactMap { Double($0) }
        guard parts.count == 6 else { return nil }
        return ((parts[2] * 24 + parts[3]) * 60 + parts[4]) * 60 + parts[5]
    }

    private static func checked(
        _ arrival: Double?, _ input: Double?, _ output: Double?, _ place: String
    ) throws(CommandError) -> WorkloadRequest {
        let limit = Double(LengthDistribution.maximum)
        guard let arrival, abs(arrival) < 1e15, let input, let output, input >= 1, input <= limit, output <= limit
        else {
            throw CommandError(
                "\(place): expected an arrival time, prompt tokens and answer tokens (1...\(LengthDistribution.maximum))"
            )
        }
        // Real traces have answers of no token: a client left, or a filter struck.
        return WorkloadRequest(arrival: arrival, inputTokens: Int(input), outputTokens: max(1, Int(output)))
    }
}
