internal import Glibc

/// The program's standard streams.
package enum Terminal {
    /// Writes to standard output.
    package static func write(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes to standard error.
    package static func writeError(_ text: String) { write(text, to: STDERR_FILENO) }

    /// Columns of standard output; nil where it is no terminal.
    package static var columns: Int? { columns(of: STDOUT_FILENO) }

    /// Columns of standard error; 80 where it does not say.
    package static var errorColumns: Int { columns(of: STDERR_FILENO) ?? 80 }

    /// Whether standard output is a terminal.
    package static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Whether standard error is a terminal.
    package static var isErrorTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    private static func columns(of descriptor: Int32) -> Int? {
        guard isatty(descriptor) == 1 else { return nil }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // A reader that has gone is no reason to stop a deployment.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
