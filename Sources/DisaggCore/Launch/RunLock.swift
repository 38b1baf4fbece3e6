internal import Glibc

/// Held by the launcher that owns a run's directory; the kernel lets it go with the process, however that ends.
package final class RunLock: Sendable {
    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes the lock of a directory, which must exist.
    ///
    /// - Returns: nil where another process holds it.
    /// - Throws: ``CommandError`` where the file cannot be made.
    package static func take(_ directory: String) throws(CommandError) -> RunLock? {
        let path = "\(directory)/run.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CommandError("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
        return RunLock(descriptor)
    }
}
