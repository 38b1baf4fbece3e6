internal import Glibc
package import Logging
internal import NIOConcurrencyHelpers
internal import NIOPosix
internal import Synchronization

/// The access log's file: takes lines from every event loop and writes them on another thread.
///
/// A slow or full disk never holds an event loop up: what waits is bounded, and lines beyond it are dropped and counted.
/// After a rotation the new file is used: at once after ``reopen()``, within a second by itself.
package final class AccessLogFile: Sendable {
    /// Most bytes that wait for the disk.
    package static let maximumPending = 8 << 20
    /// The path that means standard output.
    package static let standardOutput = "-"

    private struct State {
        var pending: [UInt8] = []
        var isWriting = false
        var mustReopen = false
        var isClosed = false
        /// -1 while nothing is open.
        var descriptor: CInt
        var lastLook = ContinuousClock.now
        var hasFailed = false
    }

    private let path: String
    private let logger: Logger
    private let state: NIOLockedValueBox<State>
    private let lost = Atomic<Int>(0)

    /// Opens the file for appending; it is created where it is not there.
    ///
    /// - Parameter path: the file, or `-` for standard output.
    /// - Throws: ``DisaggError`` that names the file where it cannot be opened.
    package init(path: String, logger: Logger) throws(DisaggError) {
        self.path = path
        self.logger = logger
        let descriptor = path == Self.standardOutput ? STDOUT_FILENO : Self.open(path)
        guard descriptor >= 0 else {
            throw DisaggError(
                .unavailable,
                "the access log \(path) cannot be opened: \(String(cString: strerror(errno))); "
                    + "correct proxy.accessLog or the directory's permissions")
        }
        state = NIOLockedValueBox(State(descriptor: descriptor))
    }

    deinit {
        state.withLockedValue { state in
            if state.descriptor > STDERR_FILENO { close(state.descriptor) }
        }
    }

    /// Lines that were dropped so far.
    package var dropped: Int { lost.load(ordering: .relaxed) }

    /// Takes whole lines; returns at once.
    ///
    /// - Parameter lines: how many lines the bytes hold, to count them where they must be dropped.
    package func append(_ bytes: [UInt8], lines: Int) {
        let mustStart: Bool? = state.withLockedValue { state in
            guard !state.isClosed, state.pending.count + bytes.count <= Self.maximumPending else { return nil }
            state.pending += bytes
            defer { state.isWriting = true }
            return !state.isWriting
        }
        guard let mustStart else {
            lost.wrappingAdd(lines, ordering: .relaxed)
            return
        }
        if mustStart { NIOThreadPool.singleton.submit { _ in self.writePending() } }
    }

    /// Opens the file anew before the next line: it was moved away.
    package func reopen() { state.withLockedValue { $0.mustReopen = true } }

    /// Writes what waits; later lines are dropped.
    package func finish() async {
        let isWriting = state.withLockedValue { state in
            state.isClosed = true
            return state.isWriting
        }
        while isWriting, state.withLockedValue({ $0.isWriting }) {
            do { try await Task.sleep(for: .milliseconds(2)) } catch { return }
        }
    }

    private func writePending() {
        while true {
            let work: (bytes: [UInt8], descriptor: CInt)? = state.withLockedValue { state in
                guard !state.pending.isEmpty else {
                    state.isWriting = false
                    return nil
                }
                defer { state.pending = [] }
                return (state.pending, state.descriptor)
            }
            guard let work else { return }
            let descriptor = current(work.descriptor)
            guard !write(work.bytes, to: descriptor) else { continue }
            let code = errno
            let isNew = state.withLockedValue { state in
                defer { state.hasFailed = true }
                return !state.hasFailed
            }
            lost.wrappingAdd(work.bytes.count { $0 == 0x0A }, ordering: .relaxed)
            if isNew { logger.error("the access log cannot be written: \(String(cString: strerror(code)))") }
        }
    }

    /// The descriptor to write to, after a look at whether the path still means it.
    private func current(_ descriptor: CInt) -> CInt {
        guard path != Self.standardOutput else { return descriptor }
        let mustLook = state.withLockedValue { state in
            let now = ContinuousClock.now
            guard state.mustReopen || now - state.lastLook >= .seconds(1) else { return false }
            state.lastLook = now
            return true
        }
        guard mustLook else { return descriptor }
        var byPath = stat()
        var byDescriptor = stat()
        let isSame =
            stat(path, &byPath) == 0 && fstat(descriptor, &byDescriptor) == 0 && byPath.st_ino == byDescriptor.st_ino
            && byPath.st_dev == byDescriptor.st_dev
        state.withLockedValue { $0.mustReopen = false }
        guard !isSame else { return descriptor }
        let fresh = Self.open(path)
        guard fresh >= 0 else {
            logger.error("the access log \(path) cannot be opened anew: \(String(cString: strerror(errno)))")
            return descriptor
        }
        close(descriptor)
        state.withLockedValue { state in
            state.descriptor = fresh
            state.hasFailed = false
        }
        return fresh
    }

    private func write(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while offset < raw.count {
                let count = Glibc.write(descriptor, raw.baseAddress.map { $0 + offset }, raw.count - offset)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                offset += count
            }
            return true
        }
    }

    private static func open(_ path: String) -> CInt {
        Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    }
}
