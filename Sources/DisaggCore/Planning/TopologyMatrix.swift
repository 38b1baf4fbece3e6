/// The table that `nvidia-smi topo -m` prints.
///
/// Seen on real machines: columns set apart by tabs or by blanks, a heading underlined by escape codes, columns and
/// rows of network cards, a missing NUMA column, CPU lists with commas, `N/A` cells, and two cells grown together.
package struct TopologyMatrix: Sendable, Hashable {
    /// The GPUs' numbers, in the table's order.
    package var indices: [Int]
    /// Links by position; nil on the diagonal.
    package var links: [[GPULink?]]
    /// NUMA nodes by position; nil where the table has none.
    package var nodes: [Int?]
    /// CPU lists by position; nil where the table has none.
    package var processors: [String?]

    /// A host has at most as many GPUs as this; larger tables are refused.
    private static let maximumGPUs = 256

    /// Reads the table.
    ///
    /// - Throws: ``CommandError`` where it is none.
    package init(parsing text: String) throws(CommandError) {
        let lines = text.split(whereSeparator: \.isNewline).map { Self.withoutEscapes($0) }
        guard let headingLine = lines.firstIndex(where: { Self.cells($0).first?.hasPrefix("GPU0") == true }) else {
            throw CommandError("this is no output of nvidia-smi topo -m: no line begins with GPU0")
        }
        // The heading's own cells: "CPU Affinity" has a blank in it, so only the leading GPU and NIC names count.
        let columns = Self.cells(lines[headingLine]).prefix { $0 != "CPU" }
        var rows: [(index: Int, cells: [String])] = []
        for line in lines[(headingLine + 1)...] {
            let cells = Self.cells(line)
            guard let first = cells.first, let index = Self.gpu(first) else {
                // The legend ends the table; rows of network cards are of no use here.
                if cells.first == "Legend:" { break }
                continue
            }
            rows.append((index, Array(cells.dropFirst())))
        }
        guard !rows.isEmpty, rows.count <= Self.maximumGPUs else {
            throw CommandError("the topology has \(rows.count) GPU rows; expected 1 to \(Self.maximumGPUs)")
        }
        indices = rows.map(\.index)
        links = []
        nodes = []
        processors = []
        let gpuColumns = columns.enumerated().compactMap { position, name in Self.gpu(name).map { (position, $0) } }
        for row in rows {
            let found = indices.map { index -> GPULink? in
                guard let position = gpuColumns.first(where: { $0.1 == index })?.0, row.cells.indices.contains(position)
                else { return nil }
                return GPULink(row.cells[position])
            }
            let missing = indices.indices.first { indices[$0] != row.index && found[$0] == nil }
            if let missing {
                throw CommandError("the topology does not say how GPU\(row.index) reaches GPU\(indices[missing])")
            }
            links.append(found)
            // What follows the links: a CPU list, then a NUMA node, then the GPU's own node; each may be missing.
            let rest = row.cells.dropFirst(columns.count)
            let list = rest.first { Self.isProcessorList($0) }
            processors.append(list)
            let node = list.flatMap { list in rest.firstIndex(of: list) }.flatMap { position -> Int? in
                rest.indices.contains(position + 1) ? Int(rest[position + 1]) : nil
            }
            nodes.append(node)
        }
    }

    private static func cells(_ line: String) -> [String] {
        line.split { $0 == " " || $0 == "\t" }.map(String.init)
    }

    private static func gpu(_ name: String) -> Int? { name.hasPrefix("GPU") ? Int(name.dropFirst(3)) : nil }

    /// `0-31,64-95`, `6,14,22,30`, or one number.
    private static func isProcessorList(_ cell: String) -> Bool {
        guard let first = cell.first, first.isNumber else { return false }
        return cell.allSatisfy { $0.isNumber || $0 == "-" || $0 == "," }
    }

    /// Removes `ESC [ … m`.
    private static func withoutEscapes(_ line: Substring) -> String {
        var result = ""
        var isEscape = false
        for character in line.unicodeScalars {
            if character == "\u{1B}" {
                isEscape = true
            } else if isEscape {
                if character.properties.isAlphabetic { isEscape = false }
            } else {
                result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
