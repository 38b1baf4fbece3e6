/// Finds what a mistyped word was meant to be.
package enum EditDistance {
    /// The known word nearest to `word`, nil where none is near: more than a third of the letters differ.
    ///
    /// Case and the separators `-` and `_` count for nothing, since people carry them over from command-line flags.
    package static func nearest(to word: String, among known: [String]) -> String? {
        let wanted = folded(word)
        var best: (word: String, distance: Int)?
        for candidate in known {
            let distance = between(wanted, folded(candidate))
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best, best.distance <= max(1, wanted.count / 3) else { return nil }
        return best.word
    }

    private static func folded(_ word: String) -> [UInt8] {
        word.prefix(80).lowercased().utf8.filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: "_") }
    }

    /// Insertions, deletions, replacements and swaps of neighbours (Damerau's distance, restricted form).
    package static func between(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, leftByte) in left.enumerated() {
            var current = [row + 1]
            for (column, rightByte) in right.enumerated() {
                var cost = min(
                    last[column + 1] + 1, current[column] + 1, last[column] + (leftByte == rightByte ? 0 : 1))
                if row > 0, column > 0, leftByte == right[column - 1], left[row - 1] == rightByte {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
