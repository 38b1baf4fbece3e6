/// Reads what `nvidia-smi` prints about GPUs and their processes.
package enum NvidiaSMI {
    /// The fields that ``devices(query:)`` reads: the value of `--query-gpu`, with `--format=csv`.
    package static let deviceFields = "index,uuid,name,memory.total,memory.used,mig.mode.current"
    /// The fields that ``processes(query:)`` reads: the value of `--query-compute-apps`, with `--format=csv`.
    package static let processFields = "gpu_uuid,pid,used_memory,process_name"

    /// Reads the answer to a query of ``deviceFields``, with or without a heading and units.
    ///
    /// - Throws: ``CommandError`` that names the line.
    package static func devices(query: String) throws(CommandError) -> [GPUDevice] {
        var result: [GPUDevice] = []
        for (number, line) in query.split(whereSeparator: \.isNewline).enumerated() {
            let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(trimmed)
            if cells.first == "index" || line.allSatisfy(\.isWhitespace) { continue }
            guard cells.count >= 6, let index = Int(cells[0]), (0..<4096).contains(index),
                let total = mebibytes(cells[3])
            else {
                throw CommandError(
                    "line \(number + 1) is no answer to nvidia-smi --query-gpu=\(deviceFields) --format=csv: \(line)")
            }
            var device = GPUDevice(
                index: index, uuid: cells[1].isEmpty ? nil : cells[1], name: cells[2], memoryMiB: total)
            device.usedMiB = mebibytes(cells[4]) ?? 0
            device.isPartitioned = cells[5] == "Enabled"
            result.append(device)
        }
        guard !result.isEmpty else { throw CommandError("nvidia-smi lists no GPU") }
        return result
    }

    /// Reads `nvidia-smi -L`: names, UUIDs, and which GPUs are split. It does not tell memory sizes.
    ///
    /// - Parameter memoryMiB: the memory of a GPU by its name, where known.
    package static func devices(list: String) -> [GPUDevice] {
        var result: [GPUDevice] = []
        for line in list.split(whereSeparator: \.isNewline) {
            let text = trimmed(line)
            if text.hasPrefix("MIG "), !result.isEmpty {
                result[result.count - 1].isPartitioned = true
                continue
            }
            guard text.hasPrefix("GPU "), let colon = text.firstIndex(of: ":"),
                let index = Int(text[text.index(text.startIndex, offsetBy: 4)..<colon])
            else { continue }
            let rest = text[text.index(after: colon)...]
            let parts = rest.split(separator: "(UUID:", maxSplits: 1).map(trimmed)
            let uuid = parts.count > 1 ? String(parts[1].prefix { $0 != ")" }) : nil
            let name = parts.first ?? ""
            let model = GPUCatalog.reported(name: name, memoryMiB: nil)
            result.append(GPUDevice(index: index, uuid: uuid, name: name, memoryMiB: model?.memoryMiB ?? 0))
        }
        return result
    }

    /// Adds the processes of a query of ``processFields`` to their GPUs.
    package static func addProcesses(query: String, to devices: inout [GPUDevice]) {
        for line in query.split(whereSeparator: \.isNewline) {
            let cells = line.split(separator: ",", maxSplits: 3, omittingEmptySubsequences: false).map(trimmed)
            guard cells.count == 4, let id = Int(cells[1]),
                let position = devices.firstIndex(where: { $0.uuid == cells[0] })
            else { continue }
            devices[position].processes.append(.init(id: id, usedMiB: mebibytes(cells[2]), name: cells[3]))
        }
    }

    /// `81559` or `81559 MiB`.
    private static func mebibytes(_ cell: String) -> Int? {
        guard let number = cell.split(separator: " ").first, let value = Int(number), (0...(1 << 30)).contains(value)
        else { return nil }
        return value
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let blank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        return String(String(text.drop(while: blank).reversed().drop(while: blank)).reversed())
    }
}
