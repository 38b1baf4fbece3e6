import NIOCore
import NIOHTTP1

/// The answering side of one HTTP request, on the engine's loop.
final class SimulatedExchange {
    let head: HTTPRequestHead
    /// Called once when the client's connection closes before the answer is complete.
    var onGone: (() -> Void)?
    /// Called when a full send buffer has drained.
    var onWritable: (() -> Void)?
    private(set) var isEnded = false
    private(set) var hasHead = false
    private var handler: SimulatedHTTPHandler?

    /// Errors are one flat object.
    private let hasFlatErrors: Bool

    init(head: HTTPRequestHead, handler: SimulatedHTTPHandler, hasFlatErrors: Bool = false) {
        self.head = head
        self.hasFlatErrors = hasFlatErrors
        self.handler = handler
    }

    /// False while the client reads too slowly: generating more would only fill memory.
    var isWritable: Bool { handler?.isWritable ?? false }

    /// The path without its query.
    var path: String { String(head.uri.prefix { $0 != "?" }) }

    /// Answers with a whole body.
    ///
    /// - Parameters:
    ///   - contentType: no header where nil.
    ///   - hasVary: vLLM's CORS layer adds `vary: Origin` to nearly everything.
    func respond(
        status: Int, body: String, contentType: String? = "application/json", allow: String? = nil, hasVary: Bool = true
    ) {
        guard !isEnded, !hasHead else { return }
        var headers = HTTPHeaders()
        if let allow { headers.add(name: "allow", value: allow) }
        headers.add(name: "content-length", value: "\(body.utf8.count)")
        if let contentType { headers.add(name: "content-type", value: contentType) }
        if hasVary { headers.add(name: "vary", value: "Origin") }
        hasHead = true
        isEnded = true
        handler?.write(head: status, headers: headers)
        if !body.isEmpty, head.method != .HEAD { handler?.write(body: body) }
        handler?.end()
        release()
    }

    /// Answers with an error in the OpenAI shape.
    func fail(_ error: SimulatedAPIError, endpoint: SimulatedRequest.Endpoint = .completion) {
        respond(
            status: error.status, body: hasFlatErrors ? error.flatBody : error.body(for: endpoint),
            hasVary: error.hasVary)
    }

    /// Starts a stream of server-sent events.
    func startStream() {
        guard !isEnded, !hasHead else { return }
        hasHead = true
        handler?.write(
            head: 200,
            headers: [
                "content-type": "text/event-stream; charset=utf-8", "vary": "Origin", "transfer-encoding": "chunked",
            ])
        handler?.flush()
    }

    /// Sends one event at once, as a chunk of its own.
    func send(event: String) {
        guard !isEnded else { return }
        handler?.write(body: event)
        handler?.flush()
    }

    /// Ends a stream.
    ///
    /// - Parameter done: whether `[DONE]` is sent first, as OpenAI's older endpoints have it.
    func endStream(done: Bool = true) {
        guard !isEnded else { return }
        isEnded = true
        if done { handler?.write(body: "data: [DONE]\n\n") }
        handler?.flush()
        handler?.end()
        release()
    }

    /// The connection is gone; the handler calls this.
    func connectionClosed() {
        guard !isEnded else { return }
        isEnded = true
        let gone = onGone
        release()
        gone?()
    }

    private func release() {
        handler = nil
        onGone = nil
        onWritable = nil
    }
}
