/// Measurements of one machine, as a JSON file holds them.
///
/// `{"source", "gpu", "model", "tensorParallel", "engine", "rows": [{"name", "n", "ttft_mean", "itl_p50",
/// "itl_late"}]}`, times in ms. `name` says what was measured: `eager_prefill_isl1024`, `graph_decode_c16_isl512`. Other members are ignored, so
/// that a file can keep all that a benchmark printed.
public struct CalibrationFile: Sendable, Hashable {
    /// Where and how it was measured.
    public var source = ""
    /// The GPU's name; nil where the file does not say.
    public var gpu: String?
    /// The model's name; nil where the file does not say.
    public var model: String?
    /// Tensor-parallel size of the measured engine.
    public var tensorParallel = 1
    /// The rows.
    public var rows: [CalibrationRow]

    /// Creates a file.
    public init(rows: [CalibrationRow]) { self.rows = rows }

    private static let maximumRows = 1_000

    /// Reads a file's text.
    ///
    /// - Parameter name: the file's name, for errors.
    /// - Throws: ``CommandError`` where it is no calibration.
    package init(parsing text: [UInt8], name: String) throws(CommandError) {
        let json: JSONView
        do {
            json = try JSONView(parsing: text)
        } catch {
            throw CommandError(
                "\(name): not JSON: \(error.reason) at byte \(error.offset); "
                    + "disagg-launch calibrate writes calibrations")
        }
        guard let rows = json["rows"], rows.kind == .array else {
            throw CommandError("\(name): no list \"rows\"; disagg-launch calibrate writes such files")
        }
        source = json["source"]?.string ?? ""
        gpu = json["gpu"]?.string
        model = json["model"]?.string
        tensorParallel = max(1, min(64, json["tensorParallel"]?.int ?? 1))
        self.rows = []
        for row in rows.elements.prefix(Self.maximumRows) {
            guard let rowName = row["name"]?.string else { continue }
            self.rows += CalibrationRow.rows(
                name: rowName, count: row["n"]?.int ?? 1, firstToken: row["ttft_mean"]?.double,
                betweenTokens: row["itl_late"]?.double ?? row["itl_p50"]?.double)
        }
        guard !self.rows.isEmpty else {
            throw CommandError(
                "\(name): no row is named like eager_prefill_isl1024 or graph_decode_c16_isl512 and has ttft_mean "
                    + "or itl_late; disagg-launch calibrate writes such rows")
        }
    }

    /// The file's text; what ``init(parsing:name:)`` reads.
    package var json: String {
        var text = "{\n"
        text += " \"source\": \(JSONString.encode(source)),\n"
        if let gpu { text += " \"gpu\": \(JSONString.encode(gpu)),\n" }
        if let model { text += " \"model\": \(JSONString.encode(model)),\n" }
        text += " \"tensorParallel\": \(tensorParallel),\n \"rows\": [\n"
        text += rows.filter { !$0.isDerived }.map { row in
            let key = if case .prompt = row.kind { "ttft_mean" } else { "itl_late" }
            var line = "  {\"name\": \(JSONString.encode(row.name)), \"n\": \(row.count), "
            line += "\"\(key)\": \(DecimalText.fixed(row.milliseconds, 3))"
            for (suffix, key) in [
                (CalibrationRow.firstTokenSuffix, "ttft_mean"), (CalibrationRow.nextTokensSuffix, "itl_p50"),
            ] {
                guard let derived = rows.first(where: { $0.name == row.name + suffix }) else { continue }
                line += ", \"\(key)\": \(DecimalText.fixed(derived.milliseconds, 3))"
            }
            return line + "}"
        }.joined(separator: ",\n")
        return text + "\n ]\n}\n"
    }
}
