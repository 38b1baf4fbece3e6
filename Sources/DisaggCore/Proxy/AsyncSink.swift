internal import HTTPTypes
internal import NIOCore

/// The sink that gives an answer to an embedding server: the head once, then the body as an asynchronous sequence.
final class AsyncSink: ResponseSink {
    private let head: EventLoopPromise<DisaggResponse>
    private let link: DisaggResponse.Body.Link
    private var source: DisaggResponse.Body.Producer.Source?
    private var hasBegun = false

    init(head: EventLoopPromise<DisaggResponse>, link: DisaggResponse.Body.Link) {
        self.head = head
        self.link = link
    }

    override func begin(status: Int, lines: ByteBuffer, framing: SinkFraming) {
        guard !hasBegun else { return }
        hasBegun = true
        var fields = HTTPFields()
        for line in String(buffer: lines).split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":"), let name = HTTPField.Name(String(line[..<colon])) else {
                continue
            }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            fields.append(HTTPField(name: name, value: String(value)))
        }
        if case .length(let length) = framing { fields[.contentLength] = String(length) }
        let produced = DisaggResponse.Body.Producer.makeSequence(
            elementType: ByteBuffer.self, failureType: (any Error).self,
            backPressureStrategy: .init(lowWatermark: 8, highWatermark: 64), finishOnDeinit: false, delegate: link)
        source = produced.source
        head.succeed(
            DisaggResponse(
                head: HTTPResponse(status: .init(code: status), headerFields: fields),
                body: DisaggResponse.Body(base: produced.sequence)))
    }

    override func write(_ bytes: ByteBuffer) {
        guard let source else { return }
        bodyBytes &+= bytes.readableBytes
        if case .stopProducing = source.yield(bytes) { link.pause() }
    }

    override func end() {
        source?.finish()
        source = nil
    }

    override func abort() {
        let error = DisaggError(.badGateway, "the engine's answer ended before it was complete")
        if hasBegun {
            source?.finish(error)
            source = nil
        } else {
            head.fail(error)
        }
    }
}
