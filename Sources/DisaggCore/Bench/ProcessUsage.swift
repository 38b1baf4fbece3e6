/// CPU time and memory of processes, their threads and their children at one moment, as Linux's `/proc` tells it.
struct ProcessUsage: Sendable {
    /// A thread of a process.
    struct Thread: Hashable, Sendable {
        var process: Int32
        var id: Int32
    }

    /// Nanoseconds on a CPU by thread (`schedstat`); empty where the kernel does not keep them.
    var threads: [Thread: Int] = [:]
    /// Clock ticks in user and in system mode by process, those of children that have ended included.
    var userTicks: [Int32: Int] = [:]
    var systemTicks: [Int32: Int] = [:]
    var rssKiB = 0
    /// Proportional set size: memory that processes share is divided among them. nil where it may not be read.
    var pssKiB: Int?

    /// Reads the usage of processes and all their descendants.
    static func look(at roots: [Int32]) -> ProcessUsage {
        var usage = ProcessUsage()
        for process in family(of: roots) { usage.add(process) }
        return usage
    }

    /// Whether there is such a process.
    static func exists(_ process: Int32) -> Bool { statFields(process) != nil }

    /// How long the calling thread was ready to run and had no CPU, in nanoseconds; nil where the kernel does not say.
    static func threadWait() -> Int? {
        guard let fields = ProcFile.text("/proc/thread-self/schedstat")?.split(separator: " "), fields.count > 1 else {
            return nil
        }
        return Int(fields[1])
    }

    private mutating func add(_ process: Int32) {
        guard let fields = Self.statFields(process), fields.count > 14 else { return }
        // Fields 14 to 17 of proc(5), counted from the third one: utime, stime, cutime, cstime.
        userTicks[process] = (Int(fields[11]) ?? 0) + (Int(fields[13]) ?? 0)
        systemTicks[process] = (Int(fields[12]) ?? 0) + (Int(fields[14]) ?? 0)
        for name in ProcFile.names(in: "/proc/\(process)/task") ?? [] {
            guard let id = Int32(name), let text = ProcFile.text("/proc/\(process)/task/\(id)/schedstat"),
                let nanoseconds = text.split(separator: " ").first.flatMap({ Int($0) })
            else { continue }
            threads[Thread(process: process, id: id)] = nanoseconds
        }
        rssKiB += Self.kibibytes("VmRSS:", in: "/proc/\(process)/status") ?? 0
        if let pss = Self.kibibytes("Pss:", in: "/proc/\(process)/smaps_rollup") { pssKiB = (pssKiB ?? 0) + pss }
    }

    private static func family(of roots: [Int32]) -> [Int32] {
        var children: [Int32: [Int32]] = [:]
        for process in ProcFile.processes {
            guard let fields = statFields(process), fields.count > 1, let parent = Int32(fields[1]) else { continue }
            children[parent, default: []].append(process)
        }
        var found: [Int32] = []
        var seen: Set<Int32> = []
        var next = roots
        while let process = next.popLast() {
            guard seen.insert(process).inserted else { continue }
            found.append(process)
            next += children[process] ?? []
        }
        return found
    }

    /// The fields behind the name, which may hold anything.
    private static func statFields(_ process: Int32) -> [Substring]? {
        guard let text = ProcFile.text("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(after: end)...].split(separator: " ")
    }

    private static func kibibytes(_ name: String, in path: String) -> Int? {
        guard let text = ProcFile.text(path),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) })
        else { return nil }
        return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
    }
}
