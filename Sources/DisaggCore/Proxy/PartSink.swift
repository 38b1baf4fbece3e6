internal import NIOCore

/// Where the answer of one part of a split request goes: back to the whole.
final class PartSink: ResponseSink {
    let index: Int
    private let whole: PartedRequest
    private(set) var status = 0
    private(set) var isEventStream = false
    private var isOver = false
    /// The answer in one piece, or an error; nothing of a stream.
    private(set) var body = ByteBuffer()
    private var events = SSEScanner()

    init(index: Int, whole: PartedRequest) {
        self.index = index
        self.whole = whole
    }

    override func begin(status: Int, lines: ByteBuffer, framing: SinkFraming) {
        self.status = status
        isEventStream = status == 200 && String(buffer: lines).lowercased().contains("content-type: text/event-stream")
    }

    override func write(_ bytes: ByteBuffer) { bytes.withUnsafeReadableBytes { relay($0) } }

    override func relay(_ bytes: UnsafeRawBufferPointer) {
        guard !isOver else { return }
        guard isEventStream else {
            guard whole.mayHold(bytes.count) else { return whole.partFailed(self, .tooLarge) }
            body.writeBytes(bytes)
            return
        }
        var output = ByteBuffer()
        let fits = events.feed(bytes) { whole.event($0, of: self, to: &output) }
        whole.send(output)
        if !fits { whole.partFailed(self, .tooLarge) }
    }

    override func end() {
        guard !isOver else { return }
        isOver = true
        whole.partEnded(self)
    }

    override func abort() {
        guard !isOver else { return }
        isOver = true
        whole.partFailed(self, .broken)
    }
}
