/// Versions of the Python packages beside an engine's program, read from the environment's folders without starting Python.
package struct PythonEnvironment: Sendable, Hashable {
    /// Package name in lower case with dashes, and its version.
    package var packages: [String: String] = [:]
    /// Python's own version, for example 3.12; nil where it cannot be told.
    package var python: LMCacheVersion?

    /// An environment of which nothing is known.
    package init() {}

    /// Looks beside a program: `…/bin/vllm` belongs to `…/lib/python3.12/site-packages`, or to `…` itself where it was
    /// installed with `pip install --target`.
    ///
    /// - Parameter program: absolute path; where it is a script, the interpreter in its first line decides.
    package init(beside program: String) {
        var folders = [program]
        if let line = ProcFile.text(program)?.split(separator: "\n").first, line.hasPrefix("#!/") {
            folders.append(String(line.dropFirst(2).prefix { $0 != " " }))
        }
        if let link = ProcFile.link(program) { folders.append(link) }
        for folder in folders.reversed() where folder.hasPrefix("/") {
            let root = folder.split(separator: "/").dropLast(2).map { "/\($0)" }.joined()
            read(root, python: nil)
            for library in ["lib", "lib64"] {
                for name in (ProcFile.names(in: "\(root)/\(library)") ?? []).sorted() where name.hasPrefix("python3") {
                    read("\(root)/\(library)/\(name)/site-packages", python: name)
                }
            }
        }
    }

    private mutating func read(_ folder: String, python name: String?) {
        guard let names = ProcFile.names(in: folder) else { return }
        for entry in names where entry.hasSuffix(".dist-info") {
            let parts = entry.dropLast(10).split(separator: "-")
            guard parts.count == 2 else { continue }
            let package = String(parts[0].lowercased().map { $0 == "_" ? "-" : $0 })
            packages[package] = packages[package] ?? String(parts[1])
        }
        if python == nil, let name { python = LMCacheVersion(name.dropFirst(6)) }
    }

    /// A package's version as numbers, nil where it is not installed.
    package func version(_ package: String) -> LMCacheVersion? { packages[package].flatMap { LMCacheVersion($0) } }
}
