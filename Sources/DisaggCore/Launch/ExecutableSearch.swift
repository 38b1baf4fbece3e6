internal import Glibc

/// Finds programs.
package enum ExecutableSearch {
    /// The first executable file of that name in a `PATH`, nil where there is none.
    ///
    /// Empty and relative entries are skipped: what runs must not depend on the working directory.
    package static func find(_ name: String, path: String) -> String? {
        for directory in path.split(separator: ":") where directory.hasPrefix("/") {
            let candidate = "\(directory)/\(name)"
            if isExecutable(candidate) { return candidate }
        }
        return nil
    }

    /// Whether the path is a file that the caller may run.
    package static func isExecutable(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }

    /// The path of the running program, nil where `/proc` is not mounted.
    package static var running: String? { ProcFile.link("/proc/self/exe") }

    /// A program that was installed beside another one.
    package static func sibling(_ name: String, of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return name }
        return path[...slash] + name
    }

    /// The path made absolute by the working directory, without a slash at the end.
    package static func absolute(_ path: String) -> String {
        var result = path
        if !path.hasPrefix("/"), let directory = getcwd(nil, 0) {
            defer { free(directory) }
            result = path == "." ? String(cString: directory) : "\(String(cString: directory))/\(path)"
        }
        while result.count > 1, result.hasSuffix("/") { result.removeLast() }
        return result
    }

    /// The variable's value in the program's own environment.
    package static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
