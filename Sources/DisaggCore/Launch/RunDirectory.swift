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
        try write(Array(file.contents.utf8), to: descriptor, file.path)
    }

    /// Opens a log file for a child's output, after what it holds already.
    ///
    /// Appending keeps lines whole when a process and its workers write to the same file, and lets ``LogRotation`` cut it.
    package static func openLog(_ path: String) throws(CommandError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("write", path) }
        return descriptor
    }

    /// Adds a line to a file.
    package static func append(_ line: String, to path: String) throws(CommandError) {
        let descriptor = try openLog(path)
        defer { close(descriptor) }
        try write(Array("\(line)\n".utf8), to: descriptor, path)
    }

    /// Writes a file anew in one step: a reader finds the old text or the new one.
    package static func replace(_ file: EngineCommand.File) throws(CommandError) {
        let temporary = "\(file.path).new"
        try write(.init(path: temporary, contents: file.contents))
        guard rename(temporary, file.path) == 0 else { throw failure("write", file.path) }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(CommandError) {
        var bytes = bytes[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", path) }
            bytes = bytes.dropFirst(count)
        }
    }

    private static func failure(_ verb: String, _ path: String) -> CommandError {
        CommandError("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
