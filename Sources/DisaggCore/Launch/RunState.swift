/// What a launcher says about its run, in `run.json` beside the logs: for `status`, `logs` and `down`, and for the next `up`
/// where the launcher was killed.
package struct RunState: Sendable, Hashable {
    /// One process of the run.
    package struct Process: Sendable, Hashable {
        package var name: String
        package var role: String
        /// A ``LaunchMachine/ProcessState``.
        package var state: String
        /// The first process of its session; nil where none runs.
        package var pid: Int32?
        /// See ``ProcessFacts/startTicks``.
        package var startTicks: UInt64?
        package var url: String
        package var healthURL: String
        package var log: String
        package var gpus: [Int]
        /// How often it was started again.
        package var restarts: Int
        /// When it came into its state, in seconds since 1970.
        package var since: Int
        /// Why it last failed.
        package var cause: String?
    }

    /// The launcher's process.
    package var launcher: Int32
    /// When the launcher started, see ``ProcessFacts/startTicks``.
    package var launcherTicks: UInt64
    /// The boot in which all ids are valid.
    package var bootID: String
    /// Begins the mark of every process of the run, see ``ProcessSession/mark``.
    package var mark: String
    /// The preset or file.
    package var source: String
    package var model: String
    package var handoff: String
    /// A ``LaunchMachine/Phase``.
    package var phase: String
    /// When the run began, in seconds since 1970.
    package var startedAt: Int
    package var processes: [Process]

    /// The file's name in the run's directory.
    package static let fileName = "run.json"

    /// Whether the launcher that wrote it still lives.
    package var launcherIsAlive: Bool {
        guard bootID == ProcessFacts.bootID, let facts = ProcessFacts(launcher) else { return false }
        return facts.isAlive && facts.startTicks == launcherTicks
    }

    /// Reads a directory's state; nil where there is none.
    ///
    /// - Throws: ``CommandError`` where the file is none of ours.
    package static func read(_ directory: String) throws(CommandError) -> RunState? {
        let path = "\(directory)/\(fileName)"
        guard let bytes = ProcFile.bytes(path) else { return nil }
        guard let view = try? JSONView(parsing: bytes), let state = RunState(view) else {
            throw CommandError("\(path) is no state of a run: remove it if no deployment runs there")
        }
        return state
    }
}
