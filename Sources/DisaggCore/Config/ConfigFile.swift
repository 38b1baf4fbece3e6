internal import Glibc

/// Reads small configuration files, within a limit.
package enum ConfigFile {
    /// Why a file cannot be used, in words that follow its name.
    package struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        package var description: String
    }

    /// The file's text.
    ///
    /// - Parameter limit: most bytes that are read; a longer file comes back one byte too long, so that a parser with
    ///   the same limit refuses it.
    package static func text(_ path: String, limit: Int) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &buffer, min(buffer.count, limit + 1 - bytes.count))
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw failure(errno)
            }
            bytes += buffer[..<count]
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure(description: "not UTF-8 text") }
        return text
    }

    /// Whether there is a regular file of that name.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    private static func failure(_ code: Int32) -> Failure {
        Failure(description: "cannot be read: \(String(cString: strerror(code)))")
    }
}
