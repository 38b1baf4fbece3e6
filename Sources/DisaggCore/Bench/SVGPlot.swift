/// A line plot as inline SVG: axes with round numbers, up to three lines, no script.
struct SVGPlot {
    /// One line.
    struct Series {
        var name: String
        /// A class of the page's style sheet: `a`, `b` or `c`.
        var style: String
        /// Where there is no value, the line is broken.
        var points: [(x: Double, y: Double?)]
    }

    var title: String
    /// What the vertical axis counts.
    var unit: String
    /// What the horizontal axis counts.
    var xUnit: String
    var series: [Series]

    private static let (width, height) = (520.0, 250.0)
    private static let (left, right, top, bottom) = (58.0, 12.0, 12.0, 34.0)

    /// The figure, caption and legend included.
    var html: String {
        let all = series.flatMap(\.points)
        let yMaximum = all.compactMap(\.y).max() ?? 0
        let xMinimum = all.map(\.x).min() ?? 0
        let xMaximum = max(all.map(\.x).max() ?? 1, xMinimum + 1e-9)
        let yTicks = Self.ticks(from: 0, to: yMaximum > 0 ? yMaximum : 1)
        let yTop = max(yTicks.last ?? 1, yMaximum, 1e-9)
        let xTicks = Self.ticks(from: xMinimum, to: xMaximum)
        func x(_ value: Double) -> Double {
            Self.left + (value - xMinimum) / (xMaximum - xMinimum) * (Self.width - Self.left - Self.right)
        }
        func y(_ value: Double) -> Double {
            Self.height - Self.bottom - value / yTop * (Self.height - Self.top - Self.bottom)
        }
        var parts: [String] = []
        for tick in yTicks {
            parts.append(line("grid", Self.left, y(tick), Self.width - Self.right, y(tick)))
            parts.append(text("end", Self.left - 6, y(tick) + 4, Self.label(tick)))
        }
        for tick in xTicks where tick <= xMaximum * 1.0001 {
            parts.append(line("grid", x(tick), Self.height - Self.bottom, x(tick), Self.height - Self.bottom + 4))
            parts.append(text("middle", x(tick), Self.height - Self.bottom + 17, Self.label(tick)))
        }
        parts.append(text("end", Self.width - Self.right, Self.height - 4, xUnit))
        parts.append(
            line("axis", Self.left, Self.height - Self.bottom, Self.width - Self.right, Self.height - Self.bottom))
        for line in series {
            for run in Self.runs(line.points) {
                let path = run.map { "\(number(x($0.0))),\(number(y($0.1)))" }.joined(separator: " ")
                if run.count == 1, let only = run.first {
                    parts.append(
                        "<circle class=\"dot \(line.style)\" cx=\"\(number(x(only.0)))\" cy=\"\(number(y(only.1)))\" r=\"2.5\"/>"
                    )
                } else {
                    parts.append("<polyline class=\"line \(line.style)\" points=\"\(path)\"/>")
                }
            }
        }
        let legend = series.map { "<span class=\"key \($0.style)\">\(HTMLText.escaped($0.name))</span>" }.joined()
        return """
            <figure><figcaption><b>\(HTMLText.escaped(title))</b> <span class="unit">\(HTMLText.escaped(unit))</span>\(legend)</figcaption>
            <svg viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" role="img" aria-label="\(HTMLText.escaped(title))">
            \(parts.joined(separator: "\n"))
            </svg></figure>
            """
    }

    /// Pieces of a line without gaps.
    private static func runs(_ points: [(x: Double, y: Double?)]) -> [[(Double, Double)]] {
        var runs: [[(Double, Double)]] = []
        var current: [(Double, Double)] = []
        for point in points {
            if let y = point.y {
                current.append((point.x, y))
            } else if !current.isEmpty {
                runs.append(current)
                current = []
            }
        }
        return current.isEmpty ? runs : runs + [current]
    }

    /// Round numbers that cover a range with four to eight steps.
    static func ticks(from low: Double, to high: Double) -> [Double] {
        let span = high - low
        guard span > 0, span.isFinite else { return [low] }
        var step = 1.0
        while step * 8 < span { step *= 10 }
        while step * 0.8 > span { step /= 10 }
        for factor in [0.1, 0.2, 0.5, 1, 2, 5] where span / (step * factor) <= 6 {
            step *= factor
            break
        }
        let first = (low / step).rounded(.up)
        let count = Int(min(20, ((high - first * step) / step).rounded(.up)))
        return (0...max(0, count)).map { (first + Double($0)) * step }
    }

    private static func label(_ value: Double) -> String {
        let size = abs(value)
        if size >= 1e6 { return "\(trimmed(value / 1e6))M" }
        if size >= 1e4 { return "\(trimmed(value / 1e3))k" }
        return trimmed(value)
    }

    private static func trimmed(_ value: Double) -> String {
        var text = BenchFormat.fixed(value, 3)
        guard text.contains(".") else { return text }
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text
    }

    private func number(_ value: Double) -> String { BenchFormat.fixed(value, 1) }

    private func line(_ style: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
        "<line class=\"\(style)\" x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\"/>"
    }

    private func text(_ anchor: String, _ x: Double, _ y: Double, _ text: String) -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\">\(HTMLText.escaped(text))</text>"
    }
}
