package import NIOCore

/// Why an exchange with a backend ended without a complete answer.
package enum UpstreamFailure: Error, Sendable, CustomStringConvertible {
    /// No connection: nothing was sent.
    case connect(String)
    /// A pooled connection was closed by the backend before it answered anything: its idle timeout met our request.
    case staleConnection
    /// The connection ended before the answer was complete.
    case closed
    /// The backend's answer breaks HTTP/1.
    case malformed(String)
    /// The answer is larger than what the proxy keeps.
    case tooLarge
    /// The answer was not complete in time.
    case timeout

    package var description: String {
        switch self {
        case .connect(let reason): "cannot connect: \(reason)"
        case .staleConnection: "the idle connection had been closed"
        case .closed: "the connection was closed before the answer was complete"
        case .malformed(let reason): "malformed answer: \(reason)"
        case .tooLarge: "the answer is too large"
        case .timeout: "no answer in time"
        }
    }
}

/// An engine's answer head.
package struct UpstreamHead {
    package let scanned: ScannedResponseHead
    private let fields: HeaderBlock

    /// Keeps a head with the bytes it was scanned from.
    package init(scanned: ScannedResponseHead, bytes: ByteBuffer) {
        self.scanned = scanned
        fields = HeaderBlock(bytes: bytes, fields: scanned.fields)
    }

    /// HTTP status.
    package var status: Int { scanned.status }

    /// The fields that go to the client and the request's id, as `name: value\r\n` lines.
    package func clientLines(requestID: String) -> ByteBuffer {
        ByteBuffer.text(reserving: scanned.length + requestID.utf8.count + 32) { lines in
            fields.writeForwarded(to: &lines, where: HeaderPolicy.forwardsResponseField)
            lines.write("x-request-id: ")
            lines.write(requestID)
            lines.write("\r\n")
        }
    }

    /// The seconds of `Retry-After`; nil where it is absent or a date.
    package var retryAfter: Int? {
        scanned.status == 429 || scanned.status == 503 ? value(of: "retry-after").flatMap { Int($0) } : nil
    }

    /// The value of a field given in lower case; nil where it is absent.
    package func value(of name: StaticString) -> String? { fields.first(name) }
}

/// One request and its answer on a connection to a backend. Lives on one event loop; subclasses take the answer.
///
/// Exactly one of ``ended()`` and ``failed(_:)`` is called, and nothing after ``cancel()``.
package class UpstreamExchange {
    /// Whether the answer's body is wanted without its chunk framing.
    package var wantsPayload: Bool { false }
    /// Set while a raw event stream is relayed: an event that is not complete yet is held back, so that a stream can be
    /// ended well when its engine dies in the middle of one.
    package final var relaysEvents = false
    /// Whether the client cannot take more; reads from the backend are held.
    package final private(set) var isPaused = false
    /// The loop's tick at the last byte; see ``LoopContext/tick``.
    package final var lastActivity = 0
    /// Chunks of the answer's body, known at its end; 0 where it was not chunked.
    package final var chunks = 0
    /// The connection while it works for this exchange; not weak, for an object that is known weakly counts its references
    /// the slow way ever after, and this one is retained for each token.
    final var connection: UpstreamConnection?
    final var isCancelled = false
    /// The request went out on a connection.
    final var wasSent = false

    init() {}

    /// The request went out on a connection.
    package func sent() {}
    /// The answer's head; interim answers (1xx) are skipped.
    package func received(_ head: UpstreamHead) {}
    /// Bytes of the body, gone after the call: as framed on the wire, or payload only where ``wantsPayload``.
    package func received(_ bytes: UnsafeRawBufferPointer) {}
    /// The answer is complete.
    package func ended() {}
    /// The exchange failed.
    package func failed(_ failure: UpstreamFailure) {}

    /// Ends the exchange by closing its connection; no further call is made.
    package final func cancel() {
        guard !isCancelled else { return }
        isCancelled = true
        connection?.abandon()
    }

    /// Tells the backend that nobody waits for the answer, and takes it all the same where it is on its way.
    ///
    /// An HTTP server sees a closed connection in both; only this tells whether it had finished before it saw it.
    package final func leave() { connection?.closeOutput() }

    /// Holds reads from the backend.
    package final func pause() {
        isPaused = true
        connection?.holdReads()
    }

    /// Lets held reads go on.
    package final func resume() {
        guard isPaused else { return }
        isPaused = false
        connection?.releaseReads()
    }
}

/// An exchange whose answer is collected and given to a closure.
package final class CollectingExchange: UpstreamExchange {
    /// A complete answer, its body without chunk framing.
    package struct Answer {
        package var head: UpstreamHead
        package var body: ByteBuffer
    }

    private let limit: Int
    private let completion: (Result<Answer, UpstreamFailure>) -> Void
    private var head: UpstreamHead?
    private var body = ByteBuffer()
    private var isDone = false
    private var deadline: Scheduled<Void>?

    /// Creates an exchange.
    ///
    /// - Parameters:
    ///   - limit: the largest body that is collected, in bytes.
    ///   - completion: called once, on the loop.
    package init(limit: Int = 64 << 20, completion: @escaping (Result<Answer, UpstreamFailure>) -> Void) {
        self.limit = limit
        self.completion = completion
    }

    /// Creates an exchange that is cancelled and fails where its answer is not complete in time.
    package convenience init(
        limit: Int = 64 << 20, timeout: Duration, on eventLoop: any EventLoop,
        completion: @escaping (Result<Answer, UpstreamFailure>) -> Void
    ) {
        self.init(limit: limit, completion: completion)
        deadline = eventLoop.assumeIsolated().scheduleTask(in: .init(timeout)) { [weak self] in self?.giveUp() }
    }

    /// Cancels the exchange and fails it, where it has not ended.
    package func giveUp() {
        guard !isDone, !isCancelled else { return }
        cancel()
        finish(.failure(.timeout))
    }

    package override var wantsPayload: Bool { true }
    package override func received(_ head: UpstreamHead) { self.head = head }

    package override func received(_ bytes: UnsafeRawBufferPointer) {
        guard body.readableBytes + bytes.count <= limit else {
            cancel()
            finish(.failure(.tooLarge))
            return
        }
        body.writeBytes(bytes)
    }

    package override func ended() {
        guard let head else { return finish(.failure(.malformed("no head"))) }
        finish(.success(Answer(head: head, body: body)))
    }

    package override func failed(_ failure: UpstreamFailure) { finish(.failure(failure)) }

    private func finish(_ result: Result<Answer, UpstreamFailure>) {
        guard !isDone else { return }
        isDone = true
        deadline?.cancel()
        completion(result)
    }
}
