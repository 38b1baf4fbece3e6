/// Keeps an engine's threads on the CPUs beside its GPUs.
///
/// Launching a kernel and copying to a GPU from the other socket's CPUs takes longer, and the kernel gives memory where
/// the thread runs that first touches it, so binding the CPUs binds the memory, too. `taskset` needs no privilege, where
/// `numactl --membind` is refused in containers.
package struct ProcessorBinding: Sendable {
    /// The GPUs and what `nvidia-smi topo -m` says of their CPUs.
    package var host: GPUHost
    /// The CPUs on which this process may run itself.
    package var allowed: Set<Int>
    /// The program.
    package var taskset: String

    /// Binds to a host's CPUs.
    package init(host: GPUHost, allowed: Set<Int>, taskset: String) {
        self.host = host
        self.allowed = allowed
        self.taskset = taskset
    }

    /// This machine; nil where there is no `taskset`, or the CPUs are not known.
    ///
    /// - Parameter path: the `PATH` to find `taskset` in.
    package init?(_ host: GPUHost, path: String) {
        guard let taskset = ExecutableSearch.find("taskset", path: path),
            let status = try? ConfigFile.text("/proc/self/status", limit: 1 << 20),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed_list:") }),
            let allowed = Self.numbers(line.drop { $0 != ":" }.dropFirst())
        else { return nil }
        self.init(host: host, allowed: allowed, taskset: taskset)
    }

    /// What stands before the command of an engine with these GPUs; empty where they are at several NUMA nodes, where
    /// their CPUs are not known, or are all that there are.
    package func prefix(gpus: [Int]) -> [String] {
        let positions = gpus.compactMap { gpu in host.devices.firstIndex { $0.index == gpu } }
        guard positions.count == gpus.count, host.node(of: positions) != nil, let first = positions.first,
            let near = host.processors[first].flatMap({ Self.numbers($0[...]) })?.intersection(allowed),
            !near.isEmpty, near != allowed
        else { return [] }
        return [taskset, "-c", Self.list(near)]
    }

    /// Reads `0-31,64-95`; nil for anything else.
    static func numbers(_ text: Substring) -> Set<Int>? {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",") {
            guard let range = NumberRange.read(part.filter { !$0.isWhitespace }, below: 65_536) else { return nil }
            numbers.formUnion(range)
        }
        return numbers.isEmpty ? nil : numbers
    }

    /// Writes `0-31,64-95`.
    private static func list(_ numbers: Set<Int>) -> String {
        var ranges: [ClosedRange<Int>] = []
        for number in numbers.sorted() {
            if let last = ranges.last, last.upperBound == number - 1 {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
    }
}

extension LaunchPlan {
    /// Starts each engine on the CPUs beside its GPUs, unless its group says `cpuBinding: false`.
    package mutating func bindProcessors(_ binding: ProcessorBinding) {
        for index in processes.indices {
            guard let role = BackendRole(rawValue: processes[index].role), deployment.group(role).bindsProcessors
            else { continue }
            let prefix = binding.prefix(gpus: processes[index].gpus)
            processes[index].command.arguments.insert(contentsOf: prefix, at: 0)
        }
    }
}
