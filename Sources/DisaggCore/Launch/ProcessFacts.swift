/// What `/proc/PID/stat` says about a process.
package struct ProcessFacts: Sendable, Hashable {
    /// It runs or sleeps; zombies do not.
    package var isAlive: Bool
    /// The id of its session.
    package var session: Int32
    /// When it started, in clock ticks since boot. Together with its id it names a process for ever.
    package var startTicks: UInt64

    /// Reads them; nil where there is no such process.
    package init?(_ process: Int32) {
        // The fields after the name, which may itself hold spaces and brackets: state, parent, group, session, … The
        // start time is the 22nd field of all, so the 20th of these (proc(5)).
        guard let text = ProcFile.text("/proc/\(process)/stat"), let bracket = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: bracket)...].split(separator: " ")
        guard fields.count > 19, let session = Int32(fields[3]), let start = UInt64(fields[19]) else { return nil }
        isAlive = fields[0] != "Z" && fields[0] != "X"
        self.session = session
        startTicks = start
    }

    /// The process's variable of that name as it was when the process started.
    ///
    /// - Returns: `.hidden` where the process has overwritten its environment, as `setproctitle` does (vLLM's workers use
    ///   it), or belongs to somebody else.
    package static func variable(_ name: String, of process: Int32) -> Variable {
        guard let bytes = ProcFile.bytes("/proc/\(process)/environ") else { return .hidden }
        let entries = bytes.split(separator: 0)
        guard entries.contains(where: { $0.contains(UInt8(ascii: "=")) }) else { return .hidden }
        let prefix = Array("\(name)=".utf8)
        guard let entry = entries.first(where: { $0.starts(with: prefix) }) else { return .unset }
        return .set(String(decoding: entry.dropFirst(prefix.count), as: UTF8.self))
    }

    /// A variable of another process.
    package enum Variable: Sendable, Hashable {
        case set(String)
        case unset
        case hidden
    }

    /// Changes with every boot: process ids and start times of another boot mean nothing.
    package static var bootID: String {
        (ProcFile.text("/proc/sys/kernel/random/boot_id") ?? "").split(separator: "\n").first.map(String.init) ?? ""
    }
}
