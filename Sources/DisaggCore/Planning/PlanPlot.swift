/// A plan's Pareto front as a picture.
package enum PlanPlot {
    private static let width = 760.0
    private static let height = 420.0
    private static let left = 80.0
    private static let bottom = 60.0

    /// An SVG: tokens a second and GPU over tokens a second and user, engines apart and together.
    package static func svg(_ result: PlanResult) -> String {
        let points = result.frontApart + result.frontTogether
        let maximumUser = niceEnd(points.map(\.perUser).max() ?? 1)
        let maximumGPU = niceEnd(points.map(\.perGPU).max() ?? 1)
        func x(_ value: Double) -> String { DecimalText.fixed(left + value / maximumUser * (width - left - 30), 1) }
        func y(_ value: Double) -> String {
            DecimalText.fixed(height - bottom - value / maximumGPU * (height - bottom - 50), 1)
        }
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(width)) \(Int(height))" font-family="sans-serif" \
            font-size="13">
            <rect width="100%" height="100%" fill="white"/>
            <text x="\(Int(left))" y="24" font-size="15">\(escaped(result.request.modelName)) on \
            \(escaped(result.request.setup.gpu.name)): speed against cost</text>

            """
        for step in 0...5 {
            let share = Double(step) / 5
            svg += "<line x1=\"\(x(0))\" x2=\"\(x(maximumUser))\" y1=\"\(y(share * maximumGPU))\" "
            svg += "y2=\"\(y(share * maximumGPU))\" stroke=\"#ddd\"/>\n"
            svg += "<text x=\"\(Int(left) - 8)\" y=\"\(y(share * maximumGPU))\" text-anchor=\"end\">"
            svg += "\(DecimalText.fixed(share * maximumGPU, 0))</text>\n"
            svg += "<text x=\"\(x(share * maximumUser))\" y=\"\(Int(height - bottom) + 20)\" text-anchor=\"middle\">"
            svg += "\(DecimalText.fixed(share * maximumUser, 0))</text>\n"
        }
        svg +=
            "<text x=\"\(Int(width / 2))\" y=\"\(Int(height) - 16)\" text-anchor=\"middle\">tokens a second and user</text>\n"
        svg += "<text x=\"18\" y=\"\(Int(height / 2))\" transform=\"rotate(-90 18 \(Int(height / 2)))\" "
        svg += "text-anchor=\"middle\">output tokens a second and GPU</text>\n"
        let lines = [("apart", result.frontApart, "#0b6", 40), ("together", result.frontTogether, "#c40", 58)]
        for (name, front, colour, offset) in lines {
            let path = front.map { "\(x($0.perUser)),\(y($0.perGPU))" }.joined(separator: " ")
            svg += "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>\n"
            for point in front {
                svg += "<circle cx=\"\(x(point.perUser))\" cy=\"\(y(point.perGPU))\" r=\"3\" fill=\"\(colour)\">"
                svg += "<title>TP\(point.ranks), batch \(point.batch)</title></circle>\n"
            }
            svg +=
                "<text x=\"\(Int(width) - 40)\" y=\"\(offset)\" text-anchor=\"end\" fill=\"\(colour)\">engines \(name)</text>\n"
        }
        if let tpot = result.request.objectives.tpot, 1e3 / tpot <= maximumUser {
            svg += "<line x1=\"\(x(1e3 / tpot))\" x2=\"\(x(1e3 / tpot))\" y1=\"\(y(0))\" y2=\"\(y(maximumGPU))\" "
            svg += "stroke=\"#555\" stroke-dasharray=\"5 4\"/>\n"
        }
        return svg + "</svg>\n"
    }

    /// A page with the picture and the table.
    package static func html(_ result: PlanResult) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>Plan: \(escaped(result.request.modelName))</title></head>
        <body style="font-family: sans-serif; max-width: 60em; margin: 2em auto">
        \(svg(result))<pre>\(escaped(PlanReport.text(result)))</pre>
        </body></html>

        """
    }

    /// The next 1, 2 or 5 times a power of ten.
    private static func niceEnd(_ value: Double) -> Double {
        guard value.isFinite, value > 0 else { return 1 }
        var scale = 1.0
        while scale * 10 < value { scale *= 10 }
        while scale > value { scale /= 10 }
        return [1.0, 2, 3, 4, 5, 6, 8, 10].map { $0 * scale }.first { $0 >= value } ?? value
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }
}
