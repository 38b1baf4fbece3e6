internal import DequeModule
package import NIOCore
package import NIOHTTP1

/// A client's connection: collects requests one at a time, hands each to the loop's handler, writes the answers raw.
///
/// A pipelined request waits until the answer before it has ended. While a request is served nothing is read; that the
/// client left is learnt from the socket's end-of-input event. That event alone does not tell a client that closed from
/// one that only finished sending, so an interim `100 Continue` is sent: a closed socket answers it with a reset, and
/// every HTTP/1.1 client ignores it (RFC 9110 §15.2).
package final class DownstreamHandler: ChannelDuplexHandler {
    package typealias InboundIn = HTTPServerRequestPart
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum Phase { case waiting, receiving, serving, draining, closed }

    /// How long a client that sends nothing any more may take to close after its last answer.
    private static let lingerTime = TimeAmount.seconds(1)
    /// How long what a client goes on sending is read and dropped after its last answer.
    private static let maximumDrain = TimeAmount.seconds(30)
    /// An announced length alone takes no more memory than this, in bytes.
    private static let maximumReservedBytes = 1 << 20

    private let handler: any ClientRequestHandler
    private let limits: DownstreamLimits
    private var context: ChannelHandlerContext?
    private var phase = Phase.waiting
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var queue: Deque<HTTPServerRequestPart> = []
    private var request: (any RequestInFlight)?
    private var hasHeldRead = false
    private var inputClosed = false
    /// What is said, after the answers under way, about bytes that are no HTTP.
    private var brokenInput: DisaggError?
    /// Whether everything written has left and the connection's end was sent.
    private var outputClosed = false
    /// Bytes that were not sent yet when the deadlines were last looked at.
    private var unsent = 0
    /// When the wait for the client to close is over, whatever it still sends.
    private var drainLimit = NIODeadline.now()
    private var isUnqueueing = false
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

    package init(handler: any ClientRequestHandler, limits: DownstreamLimits) {
        self.handler = handler
        self.limits = limits
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        handler.opened(self)
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        ended()
        self.context = nil
    }

    package func read(context: ChannelHandlerContext) {
        if mayRead(context) {
            context.read()
        } else {
            hasHeldRead = true
        }
    }

    /// A client that does not take its answers is not read either, else its requests would fill memory with them.
    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        phase == .draining || (phase != .serving && queue.isEmpty && context.channel.isWritable)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        if phase == .serving || !queue.isEmpty || (phase == .waiting && !context.channel.isWritable) {
            queue.append(part)
        } else {
            receive(part)
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        request?.clientIsWritable(context.channel.isWritable)
        if context.channel.isWritable, phase == .waiting || phase == .receiving { proceed() }
        context.fireChannelWritabilityChanged()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        inputClosed = true
        switch phase {
        case .waiting: if queue.isEmpty { drain() }
        case .receiving: close()
        case .draining: if outputClosed { close() }
        case .serving where headWasSent: break
        case .serving where isHTTP10: close()
        case .serving:
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        case .closed: break
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // More bytes behind those that were refused.
        case is ByteToMessageDecoderError: break
        // The end of input in the middle of a request; the event that follows deals with it.
        case HTTPParserError.invalidEOFState: break
        case let error as HTTPParserError: refuse(error)
        default: close()
        }
    }

    private func refuse(_ error: HTTPParserError) {
        let refusal =
            error == .headerOverflow
            ? DisaggError(
                .headersTooLarge,
                "the request's head is larger than \(limits.headBytes) bytes; send fewer or shorter headers")
            : DisaggError(.badRequest, "the request is not valid HTTP/1.1: \(error)")
        switch phase {
        case .waiting where queue.isEmpty, .receiving where queue.isEmpty: reject(refusal)
        case .waiting, .receiving, .serving: brokenInput = refusal
        case .draining, .closed: break
        }
    }

    // MARK: Receiving

    /// The first bytes of something arrived; called ahead of the HTTP decoder.
    func bytesArrived() {
        // Whoever still sends its request has not read the answer: closing now would reset it away.
        if phase == .draining, outputClosed, .now() < drainLimit { since = .now() }
        guard !requestHasBegun, phase == .waiting else { return }
        requestHasBegun = true
        since = .now()
    }

    private func receive(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head):
            guard phase == .waiting else { return }
            bytesArrived()
            begin(head)
        case .body(let bytes):
            guard phase == .receiving else { return }
            guard body.readableBytes + bytes.readableBytes <= limits.bodyBytes else { return rejectLargeBody() }
            if body.readableBytes == 0 {
                body = bytes
                // Room for a usual body at once, where its size was announced.
                if let length = head?.headers.first(name: "content-length").flatMap(Int.init),
                    length > bytes.readableBytes
                {
                    body.reserveCapacity(min(length, Self.maximumReservedBytes))
                }
            } else {
                body.writeImmutableBuffer(bytes)
            }
        case .end:
            guard phase == .receiving, let head else { return }
            dispatch(head)
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        self.head = head
        body = ByteBuffer()
        phase = .receiving
        isHTTP10 = head.version.major == 1 && head.version.minor == 0
        isHead = head.method == .HEAD
        // The parser takes no further request behind an upgrade, which is not offered here.
        keepAlive = head.isKeepAlive && !isLast && head.method != .CONNECT && !head.headers.contains(name: "upgrade")
        headWasSent = false
        if let length = head.headers.first(name: "content-length").flatMap(Int.init), length > limits.bodyBytes {
            return rejectLargeBody()
        }
        if let expect = head.headers.first(name: "expect"), expect.lowercased() == "100-continue", !isHTTP10 {
            context?.writeAndFlush(
                wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
    }

    private func dispatch(_ head: HTTPRequestHead) {
        phase = .serving
        requestHasBegun = false
        let request = ClientRequest(method: head.method, target: head.uri, headers: head.headers, body: body)
        self.head = nil
        body = ByteBuffer()
        let inFlight = handler.serve(request, to: ChannelSink(connection: self))
        if phase == .serving {
            self.request = inFlight
            if context?.channel.isWritable == false { inFlight?.clientIsWritable(false) }
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
        if phase == .waiting { isHead = false }
        phase = .serving
        keepAlive = false
        headWasSent = false
        ChannelSink(connection: self).respond(error)
    }

    // MARK: The answer's end

    fileprivate func answerEnded() {
        guard phase == .serving else { return }
        request = nil
        guard keepAlive, !inputClosed || !queue.isEmpty else { return drain() }
        phase = .waiting
        since = .now()
        requestHasBegun = false
        proceed()
    }

    /// Serves what is queued as far as the client takes the answers, then lets held reads go on.
    private func proceed() {
        guard !isUnqueueing else { return }
        isUnqueueing = true
        while phase == .receiving || (phase == .waiting && context?.channel.isWritable == true),
            let part = queue.popFirst()
        {
            receive(part)
        }
        isUnqueueing = false
        if queue.isEmpty, phase == .waiting || phase == .receiving {
            if let brokenInput { return reject(brokenInput) }
            if inputClosed { return drain() }
        }
        resumeReading()
    }

    private func resumeReading() {
        guard hasHeldRead, let context, mayRead(context) else { return }
        hasHeldRead = false
        context.read()
    }

    /// Sends what was written and the connection's end, then waits for the client to close, so that no reset overtakes
    /// the answer.
    private func drain() {
        guard let context, phase != .draining, phase != .closed else { return }
        phase = .draining
        queue.removeAll()
        since = .now()
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { [self] _ in closeOutput() }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: sent)
        resumeReading()
    }

    private func closeOutput() {
        guard phase == .draining else { return }
        outputClosed = true
        since = .now()
        drainLimit = since + Self.maximumDrain
        if inputClosed { return close() }
        context?.close(mode: .output, promise: nil)
    }

    fileprivate func close() {
        guard phase != .closed else { return }
        context?.close(promise: nil)
    }

    private func ended() {
        guard phase != .closed else { return }
        phase = .closed
        handler.closed(self)
        let request = request
        self.request = nil
        request?.clientGone()
    }

    fileprivate func write(_ bytes: ByteBuffer) {
        context?.write(wrapOutboundOut(bytes), promise: nil)
    }

    fileprivate func flush() { context?.flush() }

    // MARK: Deadlines and shutdown

    /// Checks the connection's deadlines; called by the loop's timer.
    package func checkDeadline(now: NIODeadline) {
        switch phase {
        case .waiting where !requestHasBegun:
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
            if now - since > (outputClosed ? Self.lingerTime : limits.idleTimeout) { close() }
        case .serving, .closed: break
        }
    }

    /// A client that takes its answer slowly is not idle.
    private func noticeProgress(_ now: NIODeadline) {
        let unsent = (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if unsent != self.unsent { since = now }
        self.unsent = unsent
    }

    /// Ends the connection after the answer under way, at once where there is none.
    package func finishUp() {
        isLast = true
        keepAlive = false
        if phase == .waiting, !requestHasBegun, queue.isEmpty { drain() }
    }
}

/// The sink that writes to a client's socket.
private final class ChannelSink: ResponseSink {
    private let connection: DownstreamHandler
    private var encodesChunks = false
    private var isOver = false
    private let omitsBody: Bool

    init(connection: DownstreamHandler) {
        self.connection = connection
        omitsBody = connection.isHead
    }

    override var takesRawChunks: Bool { !connection.isHTTP10 }

    override func begin(status: Int, lines: ByteBuffer, framing: SinkFraming) {
        var head = ByteBuffer()
        head.reserveCapacity(lines.readableBytes + 160)
        head.writeStaticString(connection.isHTTP10 ? "HTTP/1.0 " : "HTTP/1.1 ")
        head.writeString(StatusLine.text(status))
        head.writeImmutableBuffer(lines)
        switch framing {
        case .none: break
        case .length(let length): head.writeString("content-length: \(length)\r\n")
        case .rawChunked: head.writeStaticString("transfer-encoding: chunked\r\n")
        case .stream where connection.isHTTP10: connection.keepAlive = false
        case .stream:
            encodesChunks = true
            head.writeStaticString("transfer-encoding: chunked\r\n")
        }
        if !connection.keepAlive {
            head.writeStaticString("connection: close\r\n")
        } else if connection.isHTTP10 {
            head.writeStaticString("connection: keep-alive\r\n")
        }
        head.writeStaticString("\r\n")
        connection.headWasSent = true
        connection.write(head)
    }

    override func write(_ bytes: ByteBuffer) {
        guard !isOver, !omitsBody else { return }
        guard encodesChunks else { return connection.write(bytes) }
        guard bytes.readableBytes > 0 else { return }
        connection.write(ByteBuffer(string: String(bytes.readableBytes, radix: 16) + "\r\n"))
        connection.write(bytes)
        connection.write(ByteBuffer(string: "\r\n"))
    }

    override func flush() { connection.flush() }

    override func end() {
        guard !isOver else { return }
        isOver = true
        if encodesChunks, !omitsBody { connection.write(ByteBuffer(string: "0\r\n\r\n")) }
        connection.flush()
        connection.answerEnded()
    }

    override func abort() {
        guard !isOver else { return }
        isOver = true
        connection.close()
    }
}

/// Marks that a request has begun, before its head is complete: a client that sends its head slowly has a deadline too.
package final class ArrivalHandler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    private let connection: DownstreamHandler

    package init(connection: DownstreamHandler) { self.connection = connection }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.bytesArrived()
        context.fireChannelRead(data)
    }
}
