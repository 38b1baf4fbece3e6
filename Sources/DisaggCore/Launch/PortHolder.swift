/// The process that listens on a TCP port, as far as `/proc` shows it.
package struct PortHolder: Sendable, Hashable, CustomStringConvertible {
    /// Its process id.
    package var process: Int32
    /// Its command line, shortened.
    package var command: String

    package var description: String { "pid \(process): \(command)" }

    /// Finds who listens on a port; nil where nobody does or the system does not say (another user's process).
    package static func find(port: Int) -> PortHolder? {
        let inodes = listeningInodes(port: port)
        guard !inodes.isEmpty else { return nil }
        let wanted = Set(inodes.map { "socket:[\($0)]" })
        for process in ProcFile.processes {
            let directory = "/proc/\(process)/fd"
            for name in ProcFile.names(in: directory) ?? [] {
                if let target = ProcFile.link("\(directory)/\(name)"), wanted.contains(target) {
                    return PortHolder(process: process, command: command(of: process))
                }
            }
        }
        return nil
    }

    /// Whether anything listens on a port of this machine.
    package static func isListening(port: Int) -> Bool { !listeningInodes(port: port).isEmpty }

    /// Socket inodes out of `/proc/net/tcp` and `tcp6`: column 1 is `address:port` in hexadecimal, 3 the state (0A is
    /// listening), 9 the inode.
    private static func listeningInodes(port: Int) -> [String] {
        var inodes: [String] = []
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in (ProcFile.text(table) ?? "").split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[3] == "0A", let text = fields[1].split(separator: ":").last,
                    Int(text, radix: 16) == port
                else { continue }
                inodes.append(String(fields[9]))
            }
        }
        return inodes
    }

    private static func command(of process: Int32) -> String {
        let words = (ProcFile.bytes("/proc/\(process)/cmdline") ?? []).split(separator: 0)
        let text = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        return text.count > 120 ? "\(text.prefix(120))…" : text
    }
}
