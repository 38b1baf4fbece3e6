internal import Glibc

/// The directory that holds a run's logs and generated files.
package enum RunDirectory {
    /// Creates the directory and those above it.
    package static func create(_ path: String) throws(CommandError) {
        var prefix = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            prefix += (prefix.isEmpty || prefix.hasSuffix("/") ? "" : "/") + part
            if mkdir(prefix, 0o755) != 0, errno != EEXIST {
                throw CommandError("cannot create \(prefix): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Writes a file anew.
    package static func write(_ file: EngineCommand.File) throws(CommandError) {
        let descriptor = open(file.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("write", file.path) }
        defer { close(descriptor) }
        var bytes = Array(file.contents.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", file.path) }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Opens a log file for a child's output; what an earlier run left is dropped.
    ///
    /// Appending keeps lines whole when a process and its workers write to the same file.
    package static func openLog(_ path: String) throws(CommandError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("write", path) }
        return descriptor
    }

    private static func failure(_ verb: String, _ path: String) -> CommandError {
        CommandError("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
