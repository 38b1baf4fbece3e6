internal import Glibc

/// Keeps log files within a size: `prefill-0.log` becomes `prefill-0.log.1`, that `.2`, and so on.
///
/// Engines write to their files themselves, so that nothing is lost or blocked when the launcher dies. A file in use is
/// therefore copied and cut, not moved; engines append, so they go on at the new end. What an engine writes between the
/// last look and the cut is lost, microseconds of its output.
package struct LogRotation: Sendable, Hashable {
    /// A file larger than this is rotated.
    package var maximumBytes = 64 << 20
    /// Old files that are kept beside the current one.
    package var keeps = 3

    /// Creates the defaults.
    package init() {}

    /// Rotates a file that has grown too large.
    ///
    /// - Returns: whether it was rotated.
    @discardableResult
    package func check(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0, status.st_size > maximumBytes else { return false }
        shift(path)
        let source = open(path, O_RDWR | O_CLOEXEC)
        guard source >= 0 else { return false }
        defer { close(source) }
        if keeps > 0 {
            let target = open("\(path).1", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            guard target >= 0 else { return false }
            defer { close(target) }
            guard Self.copy(source, target) else { return false }
        }
        return ftruncate(source, 0) == 0
    }

    /// Puts the file of an earlier run aside, so that a new one begins.
    package func putAside(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_size > 0 else { return }
        shift(path)
        if keeps > 0 { rename(path, "\(path).1") } else { unlink(path) }
    }

    /// Makes room for a new `.1`.
    private func shift(_ path: String) {
        guard keeps > 0 else { return }
        unlink("\(path).\(keeps)")
        for number in stride(from: keeps - 1, through: 1, by: -1) {
            rename("\(path).\(number)", "\(path).\(number + 1)")
        }
    }

    private static func copy(_ source: Int32, _ target: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return false }
            if count == 0 { return true }
            var written = 0
            while written < count {
                let step = buffer.withUnsafeBytes { bytes in
                    write(target, bytes.baseAddress.map { $0 + written }, count - written)
                }
                if step < 0, errno == EINTR { continue }
                guard step > 0 else { return false }
                written += step
            }
        }
    }
}
