internal import Glibc

/// Files that the planner and the benchmark read and write.
package enum HostFiles {
    private static let maximumBytes = 256 << 20

    /// A file's text.
    ///
    /// - Throws: ``CommandError`` where it cannot be read.
    package static func text(_ path: String) throws(CommandError) -> String {
        do throws(ConfigFile.Failure) {
            return try ConfigFile.text(path, limit: maximumBytes)
        } catch {
            throw CommandError("\(path) \(error)")
        }
    }

    /// Reads `NAME=QUERY.csv,TOPO.txt`: what `nvidia-smi` said on another machine; the second file may be missing.
    ///
    /// - Throws: ``CommandError`` for another form, or files that are no such answers.
    package static func read(_ text: String) throws(CommandError) -> GPUHost {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        let files = parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : []
        guard parts.count == 2, (1...2).contains(files.count) else {
            throw CommandError(
                "--host: expected NAME=QUERY.csv,TOPO.txt, got \"\(text)\"; the files are the output of nvidia-smi "
                    + "--query-gpu=\(NvidiaSMI.deviceFields) --format=csv and of nvidia-smi topo -m")
        }
        let devices = try NvidiaSMI.devices(query: try self.text(files[0]))
        let topology = files.count > 1 ? try TopologyMatrix(parsing: try self.text(files[1])) : nil
        return try GPUHost(name: parts[0], devices: devices, topology: topology)
    }

    /// Finds out whether ``write(_:to:)`` will be able to write a file; leaves what is there.
    ///
    /// - Throws: ``CommandError`` where it will not.
    package static func checkWritable(_ path: String) throws(CommandError) {
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "."
        guard access(path, W_OK) == 0 || errno == ENOENT && access(String(folder), W_OK | X_OK) == 0 else {
            throw CommandError("\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Writes a file, in place of what was there.
    ///
    /// - Throws: ``CommandError`` where it cannot be written.
    package static func write(_ text: String, to path: String) throws(CommandError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CommandError("\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw CommandError("\(path) cannot be written: \(String(cString: strerror(errno)))")
            }
            bytes = bytes.dropFirst(count)
        }
    }
}
