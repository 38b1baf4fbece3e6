/// What the user sees: lines that stay, and on a terminal a block of live lines below them.
package struct LaunchConsole: Sendable {
    /// Where output goes.
    package struct Sink: Sendable {
        /// Writes to standard output.
        package var output: @Sendable (String) -> Void
        /// Writes to standard error.
        package var error: @Sendable (String) -> Void
        /// Columns of the terminal; nil where standard output is none.
        package var columns: Int?

        /// Names the two streams.
        package init(
            output: @escaping @Sendable (String) -> Void, error: @escaping @Sendable (String) -> Void,
            columns: Int? = nil
        ) {
            self.output = output
            self.error = error
            self.columns = columns
        }
    }

    private let sink: Sink
    private var liveLines = 0

    /// Creates a console.
    package init(_ sink: Sink) { self.sink = sink }

    /// Whether live lines can be shown.
    package var isLive: Bool { sink.columns != nil }

    /// Prints a line that stays.
    package mutating func line(_ text: String) {
        clearLive()
        sink.output("\(text)\n")
    }

    /// Prints a line that stays to standard error.
    package mutating func problem(_ text: String) {
        clearLive()
        sink.error("\(text)\n")
    }

    /// Shows lines in place of the live ones before; does nothing without a terminal.
    package mutating func live(_ lines: [String]) {
        guard let columns = sink.columns else { return }
        let up = liveLines > 0 ? "\u{1B}[\(liveLines)A" : ""
        // A line that wraps would break the count of lines to go up. Erasing first avoids the remains of longer lines.
        let text = lines.map { "\r\u{1B}[2K\($0.prefix(max(1, columns - 1)))\n" }.joined()
        sink.output("\(up)\(text)\u{1B}[J")
        liveLines = lines.count
    }

    /// Removes the live lines.
    package mutating func clearLive() {
        guard liveLines > 0 else { return }
        sink.output("\u{1B}[\(liveLines)A\r\u{1B}[J")
        liveLines = 0
    }
}

extension Terminal {
    /// The program's streams for a console.
    package static var sink: LaunchConsole.Sink {
        LaunchConsole.Sink(output: { write($0) }, error: { writeError($0) }, columns: columns)
    }
}
