/// The lines of several logs as `disagg-launch logs` prints them: each with its process's name in front.
package struct LogView: Sendable {
    private var followers: [(prefix: String, follower: LogFollower)]

    /// Looks at the files of a selection.
    package init(_ selection: LogSelection) {
        let width = selection.files.map(\.name.count).max() ?? 0
        let isOne = selection.files.count == 1
        followers = selection.files.map { file in
            let padding = String(repeating: " ", count: width - file.name.count)
            return (isOne ? "" : "\(file.name)\(padding) | ", LogFollower(file.path))
        }
    }

    /// The last lines of each so far; ``next()`` goes on behind them.
    package mutating func last(_ count: Int) -> String { text { $0.last(count) } }

    /// What was added since; empty where nothing was.
    package mutating func next() -> String { text { $0.next() } }

    private mutating func text(_ lines: (inout LogFollower) -> [String]) -> String {
        followers.indices.map { index in
            lines(&followers[index].follower).map { "\(followers[index].prefix)\($0)\n" }.joined()
        }.joined()
    }
}
