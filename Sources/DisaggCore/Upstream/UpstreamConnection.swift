internal import NIOCore

/// One keep-alive connection to a backend: writes a request, reads its answer's head, passes the body on as it comes.
///
/// The body is not decoded: chunk framing is only followed, to know where the answer ends.
package final class UpstreamConnection: StreamSocket {
    private enum Phase { case idle, head, body, closed }

    let backend: BackendState
    let place: BackendConnections
    /// Strong: the pool lets go of its connections when it shuts down, and an unowned reference costs a retain at each chunk.
    private let pool: UpstreamPool
    private var exchange: UpstreamExchange?
    private var phase = Phase.idle
    private var headBytes: ByteBuffer?
    private var framing = BodyFraming.none
    private var chunks = ChunkScanner()
    private var remaining = 0
    private var keepAlive = true
    private var isOutputClosed = false
    private var wantsPayload = false
    /// The beginning of an event whose end has not come.
    private var heldBack: ByteBuffer?
    /// An event longer than this is passed on in parts.
    private static let maximumHeldBytes = 1 << 20
    /// Whether the connection was idle before the present exchange: its backend may have closed it meanwhile.
    private(set) var isReused = false
    /// When the connection became idle.
    private(set) var idleSince = NIODeadline.uptimeNanoseconds(0)

    /// Takes over a connected socket that is watched already.
    init(adopting source: ReactorSource, backend: BackendState, place: BackendConnections, pool: UpstreamPool) {
        self.backend = backend
        self.place = place
        place.open += 1
        self.pool = pool
        super.init(reactor: source.reactor, descriptor: -1, endsAtHangUp: false)
        adopt(source)
    }

    // MARK: Requests

    /// Sends a request; the connection must be idle.
    func send(head: ByteBuffer, body: [ByteBuffer], for exchange: UpstreamExchange) {
        guard isIdle else {
            // A new connection that is gone already is no reason to open another at once, and so on.
            exchange.failed(isReused ? .staleConnection : .connect("the connection was closed at once"))
            return
        }
        heldBack = nil
        self.exchange = exchange
        exchange.connection = self
        exchange.wasSent = true
        exchange.lastActivity = pool.tick
        wantsPayload = exchange.wantsPayload
        phase = .head
        reactor.exchanges += 1
        keepAlive = true
        if exchange.isPaused { holdReads() }
        enqueue(head)
        for piece in body { enqueue(piece) }
        flush()
        exchange.sent()
    }

    /// Ends our side: the backend sees its client leave, and an answer already on its way still arrives.
    func closeOutput() {
        isOutputClosed = true
        finishOutput()
    }

    /// Closes the connection without telling the exchange.
    func abandon() {
        _ = take()
        shut()
    }

    /// Closes the connection.
    func shut() {
        guard phase != .closed else { return }
        if phase == .head || phase == .body { reactor.exchanges -= 1 }
        phase = .closed
        pool.forget(self)
        close()
    }

    /// Marks the moment from which the idle time counts.
    func becomesIdle() { idleSince = .now() }

    /// Marks that the connection waits in the pool from now on.
    func wasPooled() { isReused = true }

    /// Whether the connection can take another exchange.
    var isIdle: Bool { phase == .idle && isOpen }

    // MARK: Socket events

    override func received(_ bytes: UnsafeRawBufferPointer) {
        switch phase {
        case .body: consume(bytes)
        case .head: receiveHead(bytes)
        // Bytes nobody asked for: the connection cannot be trusted with another exchange.
        case .idle: shut()
        case .closed: break
        }
    }

    override func inputEnded() { connectionEnded(byError: false) }

    override func failed(_ code: CInt) { connectionEnded(byError: true) }

    private func connectionEnded(byError: Bool) {
        guard phase != .closed else { return }
        let ended = phase
        shut()
        guard let exchange = take() else { return }
        if ended == .body, framing == .untilClose, !byError {
            exchange.ended()
        } else if ended == .head, isReused, headBytes == nil {
            exchange.failed(.staleConnection)
        } else {
            exchange.failed(.closed)
        }
    }

    private func take() -> UpstreamExchange? {
        let exchange = exchange
        // What the exchange does from now on is nothing to the connection's next one.
        exchange?.connection = nil
        self.exchange = nil
        return exchange
    }

    override package func close() {
        exchange?.connection = nil
        super.close()
    }

    private func fail(_ reason: String) {
        let exchange = take()
        shut()
        exchange?.failed(.malformed(reason))
    }

    // MARK: Reading the answer

    private func receiveHead(_ bytes: UnsafeRawBufferPointer) {
        exchange?.lastActivity = pool.tick
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
        case .malformed(let reason): fail(reason)
        case .head(let head): begin(head, rest)
        }
    }

    private func begin(_ head: ScannedResponseHead, _ bytes: UnsafeRawBufferPointer) {
        phase = .body
        framing = head.framing
        keepAlive = head.keepAlive
        chunks = ChunkScanner()
        if case .length(let length) = framing { remaining = length }
        if pool.judges, backend.readmit() { pool.backendIsBack(backend) }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[head.length...])
        exchange?.received(
            UpstreamHead(
                scanned: head, bytes: ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<head.length]))))
        guard phase == .body else { return }
        if framing == .none || framing == .length(0) {
            complete(leftover: rest.count)
        } else if !rest.isEmpty {
            consume(rest)
        }
    }

    @inline(__always)
    private func consume(_ bytes: UnsafeRawBufferPointer) {
        guard let exchange else { return }
        exchange.lastActivity = pool.tick
        switch framing {
        case .chunked:
            let outcome: ChunkScanner.Outcome
            if wantsPayload {
                // An exchange that is cancelled by a run gets no further one.
                outcome = chunks.scan(bytes) { run in
                    if phase == .body { exchange.received(UnsafeRawBufferPointer(rebasing: bytes[run])) }
                }
                guard phase == .body else { return }
            } else {
                outcome = chunks.scan(bytes) { _ in }
            }
            switch outcome {
            case .needsMore:
                if !wantsPayload { deliver(bytes, upTo: chunks.eventBoundary, to: exchange) }
            case .complete(let consumed):
                if !wantsPayload {
                    deliver(UnsafeRawBufferPointer(rebasing: bytes[..<consumed]), upTo: consumed, to: exchange)
                }
                complete(leftover: bytes.count - consumed)
            case .malformed: fail("broken chunk framing")
            }
        case .length:
            let count = min(remaining, bytes.count)
            remaining -= count
            exchange.received(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            if remaining == 0 { complete(leftover: bytes.count - count) }
        case .untilClose: exchange.received(bytes)
        case .none: fail("a body where none may be")
        }
    }

    /// Passes raw chunked bytes on; of an event stream only whole events.
    @inline(__always)
    private func deliver(_ bytes: UnsafeRawBufferPointer, upTo boundary: Int, to exchange: UpstreamExchange) {
        if heldBack == nil, boundary == bytes.count || !exchange.relaysEvents {
            return exchange.received(bytes)
        }
        var whole = heldBack ?? ByteBuffer()
        if boundary > 0 || whole.readableBytes > Self.maximumHeldBytes {
            let count = boundary > 0 ? boundary : bytes.count
            let rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
            heldBack = rest.isEmpty ? nil : ByteBuffer(bytes: rest)
            let head = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            if whole.readableBytes == 0 {
                exchange.received(head)
            } else {
                whole.writeBytes(head)
                whole.withUnsafeReadableBytes { exchange.received($0) }
            }
        } else {
            whole.writeBytes(bytes)
            heldBack = whole
        }
    }

    private func complete(leftover: Int) {
        guard phase == .body else { return }
        let exchange = take()
        exchange?.chunks = chunks.chunks
        phase = .idle
        reactor.exchanges -= 1
        releaseReads()
        if keepAlive, !isOutputClosed, leftover == 0, isOpen {
            becomesIdle()
            pool.release(self)
        } else {
            shut()
        }
        exchange?.ended()
    }
}
