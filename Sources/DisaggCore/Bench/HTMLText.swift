/// Text inside of HTML.
enum HTMLText {
    /// The text with the characters that mean something in elements and attributes replaced.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }

    /// A table; the first row is its head, the first column of each row its name.
    static func table(_ rows: [[String]]) -> String {
        let lines = rows.enumerated().map { number, row in
            let cells = row.enumerated().map { column, cell in
                let tag = number == 0 || column == 0 ? "th" : "td"
                return "<\(tag)>\(escaped(cell))</\(tag)>"
            }
            return "<tr>\(cells.joined())</tr>"
        }
        return "<div class=\"scroll\"><table>\(lines.joined(separator: "\n"))</table></div>"
    }
}
