internal import CCounts
internal import DisaggCore

#if canImport(Glibc)
internal import Glibc
#endif

/// Runs counted cases for Tests/Benchmarks/run.sh.
///
/// One thread and no task: valgrind 3.19 does not survive an asynchronous main.
@main
enum CountsCommand {
    private static let usage = """
        usage: counts --list           name the cases, each with the operations of a run
               counts --allocations    print the heap allocations of one operation of each case
               counts --memory TABLE   print the resident KiB of this process with the empty table, and when 100,000, 500,000
                                       and 1,000,000 distinct prompts were put into it
               counts CASE NUMBER      run a case's operation that many times, to be counted from outside
        """

    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        do {
            if arguments == ["--list"] {
                for counted in CountedCase.all { print("\(counted.name)\t\(counted.operations)") }
            } else if arguments == ["--allocations"] {
                for counted in CountedCase.all { print("\(counted.name)\t\(try allocations(of: counted))") }
            } else if arguments.count == 2, arguments.first == "--memory",
                let table = MemoryCase.all.first(where: { $0.name == arguments.last })
            {
                measure(table)
            } else if arguments.count == 2, let count = arguments.last.flatMap({ Int($0) }),
                let counted = CountedCase.all.first(where: { $0.name == arguments.first })
            {
                run(try counted.prepare(), count)
            } else {
                stop(usage)
            }
        } catch {
            stop("counts: \(error)")
        }
    }

    /// Runs an operation that many times; of its own size, so that the loop costs the same for every case.
    @inline(never)
    private static func run(_ operation: () -> Void, _ count: Int) {
        for _ in 0..<count { operation() }
    }

    /// Allocations of one operation, after as many that only warm up; with two decimals where it is no whole number.
    private static func allocations(of counted: CountedCase) throws -> String {
        let operation = try counted.prepare()
        run(operation, counted.operations)
        let before = counts_allocations()
        run(operation, counted.operations)
        let total = Int(counts_allocations() - before)
        let (whole, rest) = total.quotientAndRemainder(dividingBy: counted.operations)
        guard rest > 0 else { return "\(whole)" }
        let hundredths = (rest * 100 + counted.operations - 1) / counted.operations
        return hundredths == 100 ? "\(whole + 1)" : "\(whole).\(hundredths < 10 ? "0" : "")\(hundredths)"
    }

    private static func measure(_ table: MemoryCase) {
        let put = table.prepare()
        var line = "\(table.name)\t\(residentKiB())"
        var next = 0
        for goal in [100_000, 500_000, 1_000_000] {
            while next < goal {
                put(next)
                next += 1
            }
            line += "\t\(residentKiB())"
        }
        print(line)
    }

    /// The second number of /proc/self/statm is in pages.
    private static func residentKiB() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { stop("counts: there is no /proc/self/statm") }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = fread(&bytes, 1, bytes.count, file)
        let fields = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { stop("counts: /proc/self/statm cannot be read") }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
    }

    private static func stop(_ message: String) -> Never {
        let line = Array((message + "\n").utf8)
        _ = write(STDERR_FILENO, line, line.count)
        exit(1)
    }
}
