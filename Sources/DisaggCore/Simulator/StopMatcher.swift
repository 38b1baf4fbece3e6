/// Finds stop strings in generated text and decides how much of it may be shown already.
///
/// The rules are vLLM's (`detokenizer.py`, `check_stop_strings` and `get_next_output_text`): strings are searched in the
/// order given and only where they can touch the newest text; lengths are counted in Unicode scalars; while a stop
/// string could still begin, the last `longest - 1` scalars are held back, also where they match nothing.
package struct StopMatcher {
    private let stops: [[Unicode.Scalar]]
    private let texts: [String]
    private let includeStop: Bool
    private let heldBack: Int
    private let longest: Int
    private var output: [Unicode.Scalar] = []
    private var shown = 0

    /// - Parameter includeStop: `include_stop_str_in_output`: the answer then ends with the stop string.
    package init(stops: [String], includeStop: Bool) {
        texts = stops
        self.stops = stops.map { Array($0.unicodeScalars) }
        self.includeStop = includeStop
        longest = self.stops.map(\.count).max() ?? 0
        heldBack = includeStop ? 0 : max(0, longest - 1)
    }

    /// Adds text and returns the stop string it completed, if one.
    ///
    /// - Parameter searching: false up to `min_tokens`: text that came before is then never searched alone.
    package mutating func append(_ text: String, searching: Bool) -> String? {
        guard !stops.isEmpty else {
            output.append(contentsOf: text.unicodeScalars)
            return nil
        }
        let before = output.count
        output.append(contentsOf: text.unicodeScalars)
        guard searching, output.count > before else { return nil }
        for (index, stop) in stops.enumerated() where !stop.isEmpty {
            let first = max(0, before + 1 - stop.count)
            guard let found = Self.find(stop, in: output, from: first) else { continue }
            output.removeLast(output.count - found - (includeStop ? stop.count : 0))
            return texts[index]
        }
        return nil
    }

    /// The text not shown before that may be shown now.
    package mutating func take(finished: Bool) -> String {
        let end = output.count - (finished ? 0 : heldBack)
        guard end > shown else { return "" }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: output[shown..<end])
        shown = end
        // A search reaches back by less than the longest stop string; long streams keep only that much.
        let droppable = min(shown, output.count - longest)
        if droppable > 256 {
            output.removeFirst(droppable)
            shown -= droppable
        }
        return String(text)
    }

    private static func find(_ needle: [Unicode.Scalar], in text: [Unicode.Scalar], from first: Int) -> Int? {
        guard text.count >= needle.count, first <= text.count - needle.count else { return nil }
        return (first...(text.count - needle.count)).first { start in
            needle.indices.allSatisfy { text[start + $0] == needle[$0] }
        }
    }
}
