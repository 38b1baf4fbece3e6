/// One event loop's end of the access log: lines are collected here and handed over a few times a second.
package struct AccessLog {
    /// More bytes than this are handed over at once.
    private static let batchBytes = 32 << 10

    private let file: AccessLogFile
    private let format: AccessLogFormat
    private var buffer: [UInt8] = []
    private var lines = 0

    package init(file: AccessLogFile, format: AccessLogFormat) {
        self.file = file
        self.format = format
    }

    /// Adds a finished request.
    package mutating func add(_ record: RequestRecord) {
        AccessLogLine.append(record, as: format, to: &buffer)
        lines += 1
        if buffer.count >= Self.batchBytes { flush() }
    }

    /// Hands over what was collected.
    package mutating func flush() {
        guard lines > 0 else { return }
        file.append(buffer, lines: lines)
        buffer.removeAll(keepingCapacity: true)
        lines = 0
    }
}
