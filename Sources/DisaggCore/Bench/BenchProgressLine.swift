extension BenchControl.Progress {
    /// One line for a terminal: a bar, what is done, what is under way.
    ///
    /// - Parameter columns: the terminal's width.
    package func line(columns: Int) -> String {
        let title = isWarmup ? "warm-up" : "measuring"
        let done = succeeded + failed
        var share: Double?
        if let requests, requests > 0 { share = Double(done) / Double(requests) }
        if let limit, limit > 0 { share = max(share ?? 0, min(1, seconds / limit)) }
        let count = requests.map { "\(done)/\($0)" } ?? "\(done)"
        var tail =
            " \(count) requests, \(open) under way, \(BenchFormat.fixed(tokensPerSecond, 0)) tokens/s, \(Int(seconds)) s"
        if failed > 0 { tail += ", \(failed) failed" }
        let room = columns - title.count - tail.count - 10
        guard !isWarmup, let share, room >= 10 else { return String("\(title)\(tail)".prefix(max(1, columns - 1))) }
        let width = min(40, room)
        let filled = min(width, Int(share * Double(width)))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        return "\(title) \(bar) \(BenchFormat.right(BenchFormat.fixed(share * 100, 0), 3)) %\(tail)"
    }
}
