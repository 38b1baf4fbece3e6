internal import NIOCore

/// One connection of a benchmark: sends a request, follows its answer, and again where the server keeps it open.
final class BenchConnection: StreamSocket {
    private enum Phase { case idle, head, body, closed }

    private let session: BenchSession
    private var exchange: BenchExchange?
    private var phase = Phase.idle
    private var headBytes: ByteBuffer?
    private var framing = BodyFraming.none
    private var chunks = ChunkScanner()
    private var remaining = 0
    private var keepAlive = true
    /// Whether it had an exchange before: the server may have closed it meanwhile.
    private var isReused = false

    /// Takes over a connected socket that is watched already.
    init(adopting source: ReactorSource, session: BenchSession) {
        self.session = session
        super.init(reactor: source.reactor, descriptor: -1, endsAtHangUp: false)
        adopt(source)
    }

    var isIdle: Bool { phase == .idle && isOpen }

    /// Sends a request; the connection must be idle.
    func send(_ exchange: BenchExchange) {
        self.exchange = exchange
        exchange.connection = self
        phase = .head
        keepAlive = true
        headBytes = nil
        session.tally.sentBytes += exchange.request.readableBytes
        enqueue(exchange.request)
        flush()
    }

    /// Closes the connection without a word to the exchange.
    func shut() {
        guard phase != .closed else { return }
        phase = .closed
        take()
        session.forget(self)
        close()
    }

    @discardableResult
    private func take() -> BenchExchange? {
        let exchange = exchange
        self.exchange = nil
        exchange?.connection = nil
        return exchange
    }

    private func fail(_ kind: BenchFailure, _ detail: String) {
        let exchange = take()
        shut()
        if let exchange { session.ended(exchange, AnswerReader.Fault(kind: kind, detail: detail)) }
    }

    // MARK: Socket events

    override func received(_ bytes: UnsafeRawBufferPointer) {
        session.tally.receivedBytes += bytes.count
        switch phase {
        case .body: consume(bytes, at: BenchSession.now())
        case .head: receiveHead(bytes)
        // Bytes nobody asked for.
        case .idle: shut()
        case .closed: break
        }
    }

    override func inputEnded() { connectionEnded("the connection was closed") }

    override func failed(_ code: CInt) { connectionEnded("the connection broke: \(SocketError.text(code))") }

    private func connectionEnded(_ reason: String) {
        switch phase {
        case .closed: break
        case .idle: shut()
        case .head where isReused && headBytes == nil:
            // Its idle timeout met our request; a fresh connection tells.
            let exchange = take()
            shut()
            if let exchange { session.retry(exchange, reason) }
        case .head: fail(.truncated, "\(reason) before the answer")
        case .body where framing == .untilClose: complete()
        case .body: fail(.truncated, "\(reason) in the middle of the answer")
        }
    }

    // MARK: The answer

    private func receiveHead(_ bytes: UnsafeRawBufferPointer) {
        if var collected = headBytes {
            headBytes = nil
            collected.writeBytes(bytes)
            collected.withUnsafeReadableBytes { scanHead($0) }
        } else {
            scanHead(bytes)
        }
    }

    private func scanHead(_ bytes: UnsafeRawBufferPointer) {
        let (outcome, start) = HTTPResponseHeadScanner.scanPastInterim(bytes)
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        switch outcome {
        case .needsMore: headBytes = rest.isEmpty ? nil : ByteBuffer(bytes: rest)
        case .malformed(let reason): fail(.malformed, "the answer's head: \(reason)")
        case .head(let head):
            begin(head)
            let body = UnsafeRawBufferPointer(rebasing: rest[head.length...])
            if framing == .none || framing == .length(0) {
                complete()
            } else if !body.isEmpty {
                consume(body, at: BenchSession.now())
            }
        }
    }

    private func begin(_ head: ScannedResponseHead) {
        phase = .body
        framing = head.framing
        keepAlive = head.keepAlive
        chunks = ChunkScanner()
        if case .length(let length) = framing { remaining = length }
        exchange?.answer.begin(status: head.status)
    }

    @inline(__always)
    private func consume(_ bytes: UnsafeRawBufferPointer, at now: Int) {
        guard let exchange else { return }
        switch framing {
        case .chunked:
            let outcome = chunks.scan(bytes) { run in
                session.take(UnsafeRawBufferPointer(rebasing: bytes[run]), at: now, for: exchange)
            }
            switch outcome {
            case .needsMore: break
            case .complete(let consumed):
                if consumed < bytes.count { keepAlive = false }
                complete()
            case .malformed: fail(.malformed, "broken chunk framing")
            }
        case .length:
            let count = min(remaining, bytes.count)
            if count < bytes.count { keepAlive = false }
            remaining -= count
            session.take(UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: now, for: exchange)
            if remaining == 0 { complete() }
        case .untilClose: session.take(bytes, at: now, for: exchange)
        case .none: fail(.malformed, "a body where none may be")
        }
    }

    private func complete() {
        let exchange = take()
        phase = .idle
        isReused = true
        if keepAlive, session.keepsAlive, isOpen { session.release(self) } else { shut() }
        if let exchange { session.ended(exchange, exchange.answer.end()) }
    }
}
