internal import HTTPTypes
package import NIOCore

/// A client's connection: collects requests one at a time, hands each to the loop's handler, writes the answers raw.
///
/// A pipelined request waits until the answer before it has ended; while a request is served no more is read than the
/// one piece that tells so. A client's end of input does not tell one that closed from one that only finished sending,
/// so an interim `100 Continue` is sent: a closed socket answers it with a reset, and every HTTP/1.1 client ignores it
/// (RFC 9110 §15.2).
package final class DownstreamConnection: StreamSocket {
    private enum Phase { case waiting, receiving, serving, draining, closed }

    /// How long a client that sends nothing any more may take to close after its last answer.
    private static let lingerTime = TimeAmount.seconds(1)
    /// How long what a client goes on sending is read and dropped after its last answer.
    private static let maximumDrain = TimeAmount.seconds(30)
    /// An announced length alone takes no more memory than this, in bytes.
    private static let maximumReservedBytes = 1 << 20

    private let handler: any ClientRequestHandler
    private let whenClosed: () -> Void
    private let limits: DownstreamLimits
    private var phase = Phase.waiting
    /// Bytes that are not part of a request yet: the beginning of a head, or pipelined requests.
    private var input = ByteBuffer()
    /// Bytes of `input` that hold no end of a head.
    private var searched = 0
    private var isProcessing = false

    // The present request.
    private var method = HTTPRequest.Method.get
    private var target = ""
    private var headers = HeaderBlock()
    private var framing = RequestFraming.none
    private var remaining = 0
    private var chunks = ChunkScanner()
    private var body = ByteBuffer()
    private var request: (any RequestInFlight)?

    private var inputClosed = false
    /// Whether everything written has left and the connection's end was sent.
    private var outputClosed = false
    /// Bytes that were not sent yet when the deadlines were last looked at.
    private var unsent = 0
    /// When the wait for the client to close is over, whatever it still sends.
    private var drainLimit = NIODeadline.uptimeNanoseconds(0)
    /// Set at shutdown: the connection ends with the answer under way.
    private var isLast = false
    /// When the first byte of the present request came, or since when nothing came.
    private var since = NIODeadline.now()
    private var requestHasBegun = false

    fileprivate var keepAlive = true
    fileprivate var isHTTP10 = false
    /// Whether the present request is a `HEAD`, whose answer has no body.
    fileprivate var isHead = false
    fileprivate var headWasSent = false

    /// Takes over a client's socket.
    ///
    /// - Parameters:
    ///   - descriptor: connected and non-blocking; owned from now on.
    ///   - whenClosed: called once, at the connection's end.
    package init(
        reactor: Reactor, descriptor: CInt, handler: any ClientRequestHandler, limits: DownstreamLimits,
        whenClosed: @escaping () -> Void = {}
    ) {
        self.handler = handler
        self.limits = limits
        self.whenClosed = whenClosed
        super.init(reactor: reactor, descriptor: descriptor, endsAtHangUp: true)
        handler.opened(self)
        if !start() { end() }
    }

    // MARK: Socket events

    override func received(_ bytes: UnsafeRawBufferPointer) {
        if phase == .draining {
            // Whoever still sends its request has not read the answer: closing now would reset it away.
            if outputClosed, .now() < drainLimit { since = .now() }
            return
        }
        if input.readableBytes > 0 {
            input.writeBytes(bytes)
            return proceed()
        }
        isProcessing = true
        let used = process(bytes)
        isProcessing = false
        if used < bytes.count, phase != .draining, phase != .closed {
            input.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[used...]))
        }
        settle()
    }

    override func inputEnded() {
        inputClosed = true
        switch phase {
        case .waiting where isWritable: drain()
        case .waiting, .closed: break
        case .receiving: end()
        case .draining: if outputClosed { end() }
        case .serving: probe()
        }
    }

    override func peerFinished() {
        if phase == .serving { probe() }
    }

    /// Finds out whether a client that sends nothing any more is still there.
    private func probe() {
        guard !headWasSent else { return }
        if isHTTP10 { return end() }
        enqueue(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
        flush()
    }

    override func failed(_ code: CInt) { end() }

    override func writabilityChanged(_ isWritable: Bool) {
        request?.clientIsWritable(isWritable)
        guard isWritable, phase == .waiting || phase == .receiving else { return }
        proceed()
    }

    // MARK: Receiving

    /// Takes requests out of the bytes that wait, as far as possible now.
    private func proceed() {
        guard !isProcessing else { return }
        if input.readableBytes > 0 {
            isProcessing = true
            var waiting = input
            input = ByteBuffer()
            let used = waiting.withUnsafeReadableBytes { process($0) }
            isProcessing = false
            guard phase != .draining, phase != .closed else { return }
            if used < waiting.readableBytes {
                waiting.moveReaderIndex(forwardBy: used)
                waiting.discardReadBytes()
                input = waiting
            }
        }
        settle()
    }

    /// Decides, after bytes were taken, whether to read on.
    private func settle() {
        switch phase {
        case .waiting:
            if inputClosed, isWritable { return drain() }
            // A client that does not take its answers is not read either, else its requests would fill memory with them.
            if isWritable { releaseReads() } else { holdReads() }
        case .receiving, .draining: releaseReads()
        case .serving: holdReads()
        case .closed: break
        }
    }

    /// Takes what it can.
    ///
    /// - Returns: how many bytes were taken.
    private func process(_ bytes: UnsafeRawBufferPointer) -> Int {
        var index = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[index...])
            switch phase {
            case .waiting:
                guard !rest.isEmpty, isWritable else { return index }
                if !requestHasBegun {
                    requestHasBegun = true
                    since = .now()
                }
                switch HTTPRequestHeadScanner.scan(rest, limit: limits.headBytes, searchedFrom: searched) {
                case .needsMore:
                    searched = rest.count
                    return index
                case .head(let head):
                    searched = 0
                    index += head.length
                    begin(head, rest)
                case .malformed(let reason):
                    reject(DisaggError(.badRequest, "the request is not valid HTTP/1.1: \(reason)"))
                case .tooLarge:
                    reject(
                        DisaggError(
                            .headersTooLarge,
                            "the request's head is larger than \(limits.headBytes) bytes; send fewer or shorter headers"
                        ))
                }
            case .receiving:
                guard let used = receiveBody(rest) else { return index }
                index += used
            case .serving: return index
            case .draining, .closed: return bytes.count
            }
        }
    }

    private func begin(_ head: ScannedRequestHead, _ bytes: UnsafeRawBufferPointer) {
        phase = .receiving
        method = Self.method(UnsafeRawBufferPointer(rebasing: bytes[head.method]))
        target = String(decoding: bytes[head.target], as: UTF8.self)
        headers = HeaderBlock(
            bytes: ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<head.length])), fields: head.fields)
        framing = head.framing
        isHTTP10 = head.minorVersion == 0
        isHead = method == .head
        keepAlive = head.keepAlive && !isLast
        headWasSent = false
        body = ByteBuffer()
        switch framing {
        case .none: return
        case .length(let length):
            guard length <= limits.bodyBytes else { return rejectLargeBody() }
            remaining = length
            body.reserveCapacity(min(length, Self.maximumReservedBytes))
        case .chunked: chunks = ChunkScanner()
        }
        if head.expectsContinue {
            enqueue(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
            flush()
        }
    }

    private static func method(_ name: UnsafeRawBufferPointer) -> HTTPRequest.Method {
        if name.count == 4, ByteBlock.isEqual(name, 0, "POST") { return .post }
        return HTTPRequest.Method(String(decoding: name, as: UTF8.self)) ?? .get
    }

    /// Takes bytes of the body, and serves the request where it is complete.
    ///
    /// - Returns: how many bytes were taken; nil where more must come first.
    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int? {
        switch framing {
        case .none:
            dispatch()
            return 0
        case .length:
            let count = min(remaining, bytes.count)
            body.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            remaining -= count
            if remaining == 0 {
                dispatch()
                return count
            }
            return count > 0 ? count : nil
        case .chunked:
            guard !bytes.isEmpty else { return nil }
            var isTooLarge = false
            let outcome = chunks.scan(bytes) { run in
                if body.readableBytes + run.count > limits.bodyBytes { isTooLarge = true }
                if !isTooLarge { body.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[run])) }
            }
            if isTooLarge {
                rejectLargeBody()
                return bytes.count
            }
            switch outcome {
            case .needsMore: return bytes.count
            case .complete(let consumed):
                dispatch()
                return consumed
            case .malformed:
                reject(DisaggError(.badRequest, "the request is not valid HTTP/1.1: broken chunk framing"))
                return bytes.count
            }
        }
    }

    private func dispatch() {
        phase = .serving
        requestHasBegun = false
        let request = ClientRequest(method: method, target: target, headers: headers, body: body)
        headers = HeaderBlock()
        body = ByteBuffer()
        let inFlight = handler.serve(request, to: SocketSink(connection: self))
        if phase == .serving {
            self.request = inFlight
            if !isWritable { inFlight?.clientIsWritable(false) }
        } else if phase == .closed {
            inFlight?.clientGone()
        }
    }

    private func rejectLargeBody() {
        reject(
            DisaggError(
                .payloadTooLarge,
                "the request's body is larger than \(limits.bodyBytes) bytes; shorten the prompt or raise proxy.maxBody"
            ))
    }

    /// Answers without reading the rest of the request, then closes.
    private func reject(_ error: DisaggError) {
        if phase == .waiting {
            isHead = false
            isHTTP10 = false
        }
        phase = .serving
        keepAlive = false
        headWasSent = false
        handler.refuse(error, to: SocketSink(connection: self))
    }

    // MARK: The answer's end

    fileprivate func answerEnded() {
        guard phase == .serving else { return }
        request = nil
        guard keepAlive else { return drain() }
        phase = .waiting
        since = .now()
        requestHasBegun = false
        proceed()
    }

    /// Sends what was written and the connection's end, then waits for the client to close, so that no reset overtakes
    /// the answer.
    private func drain() {
        guard phase != .draining, phase != .closed else { return }
        phase = .draining
        input = ByteBuffer()
        since = .now()
        releaseReads()
        finishOutput()
    }

    override func outputFinished() {
        outputClosed = true
        since = .now()
        drainLimit = since + Self.maximumDrain
        if inputClosed { end() }
    }

    fileprivate func end() {
        guard phase != .closed else { return }
        phase = .closed
        close()
        handler.closed(self)
        whenClosed()
        let request = request
        self.request = nil
        request?.clientGone()
    }

    // MARK: Deadlines and shutdown

    /// Checks the connection's deadlines; called by the loop's timer.
    package func checkDeadline(now: NIODeadline) {
        switch phase {
        case .waiting where !requestHasBegun || !isWritable:
            noticeProgress(now)
            if now - since > limits.idleTimeout { drain() }
        case .waiting, .receiving:
            guard now - since > limits.readTimeout else { return }
            reject(
                DisaggError(
                    .requestTimeout,
                    "the request was not complete within \(limits.readTimeout.nanoseconds / 1_000_000_000) s"))
        case .draining:
            if !outputClosed { noticeProgress(now) }
            if now - since > (outputClosed ? Self.lingerTime : limits.idleTimeout) { end() }
        case .serving, .closed: break
        }
    }

    /// A client that takes its answer slowly is not idle.
    private func noticeProgress(_ now: NIODeadline) {
        if unsentBytes != unsent { since = now }
        unsent = unsentBytes
    }

    /// Ends the connection after the answer under way, at once where there is none.
    package func finishUp() {
        isLast = true
        keepAlive = false
        if idleSince != nil { drain() }
    }

    /// Since when the client has asked for nothing; nil while it waits for an answer or sends a request.
    package var idleSince: NIODeadline? {
        phase == .waiting && !requestHasBegun && input.readableBytes == 0 ? since : nil
    }
}

/// The sink that writes to a client's socket.
private final class SocketSink: ResponseSink {
    private let connection: DownstreamConnection
    private var encodesChunks = false
    private var isOver = false
    private let omitsBody: Bool

    init(connection: DownstreamConnection) {
        self.connection = connection
        omitsBody = connection.isHead
    }

    override var takesRawChunks: Bool { !connection.isHTTP10 }

    override func begin(status: Int, lines: ByteBuffer, framing: SinkFraming) {
        if framing == .stream {
            if connection.isHTTP10 { connection.keepAlive = false } else { encodesChunks = true }
        }
        let head = ByteBuffer.text(reserving: lines.readableBytes + 160) { head in
            head.write(connection.isHTTP10 ? "HTTP/1.0 " : "HTTP/1.1 ")
            head.write(StatusLine.text(status))
            head.write(lines)
            if case .length(let length) = framing {
                head.write("content-length: ")
                head.writeDecimal(length)
                head.write("\r\n")
            } else if encodesChunks || framing == .rawChunked {
                head.write("transfer-encoding: chunked\r\n")
            }
            if !connection.keepAlive {
                head.write("connection: close\r\n")
            } else if connection.isHTTP10 {
                head.write("connection: keep-alive\r\n")
            }
            head.write("\r\n")
        }
        connection.headWasSent = true
        connection.enqueue(head)
    }

    override func write(_ bytes: ByteBuffer) {
        guard !isOver, !omitsBody else { return }
        bodyBytes &+= bytes.readableBytes
        guard encodesChunks else { return connection.enqueue(bytes) }
        guard bytes.readableBytes > 0 else { return }
        connection.enqueue(ByteBuffer(string: String(bytes.readableBytes, radix: 16) + "\r\n"))
        connection.enqueue(bytes)
        connection.enqueue(ByteBuffer(string: "\r\n"))
    }

    override func relay(_ bytes: UnsafeRawBufferPointer) {
        guard !isOver, !omitsBody else { return }
        if encodesChunks {
            write(ByteBuffer(bytes: bytes))
            connection.flush()
        } else {
            bodyBytes &+= bytes.count
            connection.send(bytes)
        }
    }

    override func flush() { connection.flush() }

    override func end() {
        guard !isOver else { return }
        isOver = true
        if encodesChunks, !omitsBody { connection.enqueue(ByteBuffer(string: "0\r\n\r\n")) }
        connection.flush()
        connection.answerEnded()
    }

    override func abort() {
        guard !isOver else { return }
        isOver = true
        connection.end()
    }
}
