package import NIOCore

/// One keep-alive connection to a backend: writes a request, reads its answer's head, passes the body on as it comes.
///
/// The body is not decoded: chunk framing is only followed, to know where the answer ends.
package final class UpstreamConnection: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum Phase { case idle, head, body, closed }

    let backend: BackendState
    /// Strong: the pool lets go of its connections when it shuts down, and an unowned reference costs a retain at each chunk.
    private let pool: UpstreamPool
    private var context: ChannelHandlerContext?
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
    private var hasHeldRead = false
    /// Whether the connection was idle before the present exchange: its backend may have closed it meanwhile.
    private(set) var isReused = false
    /// When the connection became idle.
    private(set) var idleSince = NIODeadline.uptimeNanoseconds(0)

    init(backend: BackendState, pool: UpstreamPool) {
        self.backend = backend
        self.pool = pool
    }

    // MARK: Requests

    /// Sends a request; the connection must be idle.
    func send(head: ByteBuffer, body: [ByteBuffer], for exchange: UpstreamExchange) {
        guard let context, phase == .idle else {
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
        keepAlive = true
        context.write(wrapOutboundOut(head), promise: nil)
        for piece in body { context.write(wrapOutboundOut(piece), promise: nil) }
        context.flush()
    }

    /// Ends our side: the backend sees its client leave, and an answer already on its way still arrives.
    func closeOutput() {
        isOutputClosed = true
        context?.close(mode: .output, promise: nil)
    }

    /// Closes the connection without telling the exchange.
    func abandon() {
        exchange = nil
        close()
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        pool.forget(self)
        context?.close(promise: nil)
    }

    func resumeReading() {
        guard hasHeldRead else { return }
        hasHeldRead = false
        context?.read()
    }

    /// Marks the moment from which the idle time counts.
    func becomesIdle() { idleSince = .now() }

    /// Marks that the connection waits in the pool from now on.
    func wasPooled() { isReused = true }

    /// Whether the connection can take another exchange.
    var isIdle: Bool { phase == .idle && context?.channel.isActive == true }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    package func read(context: ChannelHandlerContext) {
        if exchange?.isPaused == true {
            hasHeldRead = true
        } else {
            context.read()
        }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        switch phase {
        case .body: consume(&buffer)
        case .head: receiveHead(buffer)
        // Bytes nobody asked for: the connection cannot be trusted with another exchange.
        case .idle: close()
        case .closed: break
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        exchange?.readComplete()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        connectionEnded()
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connectionEnded(byError: true)
        context.close(promise: nil)
    }

    private func connectionEnded(byError: Bool = false) {
        guard phase != .closed else { return }
        let ended = phase
        phase = .closed
        pool.forget(self)
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
        self.exchange = nil
        return exchange
    }

    private func fail(_ reason: String) {
        let exchange = take()
        close()
        exchange?.failed(.malformed(reason))
    }

    // MARK: Reading the answer

    private func receiveHead(_ buffer: ByteBuffer) {
        exchange?.lastActivity = pool.tick
        if headBytes == nil {
            headBytes = buffer
        } else {
            headBytes?.writeImmutableBuffer(buffer)
        }
        while phase == .head, let bytes = headBytes {
            switch bytes.withUnsafeReadableBytes({ HTTPResponseHeadScanner.scan($0) }) {
            case .needsMore: return
            case .malformed(let reason): return fail(reason)
            case .head(let head) where head.status < 200:
                guard head.status != 101 else { return fail("unexpected 101 Switching Protocols") }
                headBytes?.moveReaderIndex(forwardBy: head.length)
                if headBytes?.readableBytes == 0 { headBytes = nil }
            case .head(let head):
                headBytes = nil
                var rest = bytes
                rest.moveReaderIndex(forwardBy: head.length)
                begin(head, bytes, rest: &rest)
            }
        }
    }

    private func begin(_ head: ScannedResponseHead, _ bytes: ByteBuffer, rest: inout ByteBuffer) {
        phase = .body
        framing = head.framing
        keepAlive = head.keepAlive
        chunks = ChunkScanner()
        if case .length(let length) = framing { remaining = length }
        if backend.readmit() { pool.backendIsBack(backend) }
        exchange?.received(UpstreamHead(scanned: head, bytes: bytes))
        guard phase == .body else { return }
        if framing == .none || framing == .length(0) {
            complete(leftover: rest.readableBytes)
        } else if rest.readableBytes > 0 {
            consume(&rest)
        }
    }

    @inline(__always)
    private func consume(_ buffer: inout ByteBuffer) {
        guard let exchange else { return }
        exchange.lastActivity = pool.tick
        switch framing {
        case .chunked:
            let outcome: ChunkScanner.Outcome
            if wantsPayload {
                var runs: [Range<Int>] = []
                outcome = buffer.withUnsafeReadableBytes { chunks.scan($0) { runs.append($0) } }
                for run in runs {
                    if let slice = buffer.getSlice(at: buffer.readerIndex + run.lowerBound, length: run.count) {
                        exchange.received(slice)
                    }
                }
            } else {
                outcome = buffer.withUnsafeReadableBytes { chunks.scan($0) { _ in } }
            }
            switch outcome {
            case .needsMore:
                if !wantsPayload { deliver(&buffer, upTo: chunks.eventBoundary, to: exchange) }
            case .complete(let consumed):
                if !wantsPayload, var slice = buffer.readSlice(length: consumed) {
                    deliver(&slice, upTo: consumed, to: exchange)
                } else {
                    buffer.moveReaderIndex(forwardBy: consumed)
                }
                complete(leftover: buffer.readableBytes)
            case .malformed: fail("broken chunk framing")
            }
        case .length:
            let count = min(remaining, buffer.readableBytes)
            remaining -= count
            if let slice = buffer.readSlice(length: count) { exchange.received(slice) }
            if remaining == 0 { complete(leftover: buffer.readableBytes) }
        case .untilClose: exchange.received(buffer)
        case .none: fail("a body where none may be")
        }
    }

    /// Passes raw chunked bytes on; of an event stream only whole events.
    @inline(__always)
    private func deliver(_ buffer: inout ByteBuffer, upTo boundary: Int, to exchange: UpstreamExchange) {
        if heldBack == nil, boundary == buffer.readableBytes || !exchange.relaysEvents {
            return exchange.received(buffer)
        }
        var whole = heldBack ?? ByteBuffer()
        if boundary > 0 || whole.readableBytes > Self.maximumHeldBytes {
            let count = boundary > 0 ? boundary : buffer.readableBytes
            if let slice = buffer.readSlice(length: count) { whole.writeImmutableBuffer(slice) }
            exchange.received(whole)
            heldBack = buffer.readableBytes > 0 ? buffer : nil
        } else {
            whole.writeImmutableBuffer(buffer)
            heldBack = whole
        }
    }

    private func complete(leftover: Int) {
        guard phase == .body else { return }
        let exchange = take()
        phase = .idle
        hasHeldRead = false
        if keepAlive, !isOutputClosed, leftover == 0, context?.channel.isActive == true {
            becomesIdle()
            pool.release(self)
        } else {
            close()
        }
        exchange?.ended()
    }
}
