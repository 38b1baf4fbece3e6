public import HTTPTypes
public import NIOCore

/// An answer for a client: the head, and a body that is read as it comes.
public struct DisaggResponse: Sendable {
    /// Status and header fields. Framing fields are the embedding server's business.
    public var head: HTTPResponse
    /// The body. Reading it slowly slows the engine down; dropping it cancels the request by its protocol's rule.
    public var body: Body

    /// The bytes of an answer's body, in order.
    public struct Body: AsyncSequence, Sendable {
        /// A part of the body, as it came.
        public typealias Element = ByteBuffer
        typealias Producer = NIOThrowingAsyncSequenceProducer<
            ByteBuffer, any Error, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, Link
        >

        let base: Producer

        /// Reads the body's parts.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: Producer.AsyncIterator

            /// The next part; nil at the end.
            public mutating func next() async throws -> ByteBuffer? { try await base.next() }
        }

        /// Starts reading; a body can be read once.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator()) }

        /// The whole body.
        ///
        /// - Throws: what the body throws, and ``DisaggError`` where it is larger than `limit` bytes.
        public func collect(upTo limit: Int) async throws -> ByteBuffer {
            var whole = ByteBuffer()
            for try await part in self {
                guard whole.readableBytes + part.readableBytes <= limit else {
                    throw DisaggError(.badGateway, "the answer is larger than \(limit) bytes")
                }
                whole.writeImmutableBuffer(part)
            }
            return whole
        }
    }
}

extension DisaggResponse.Body {
    /// Carries the reader's wishes to the request on its event loop.
    final class Link: NIOAsyncSequenceProducerDelegate, Sendable {
        private let eventLoop: any EventLoop
        private let head: EventLoopPromise<DisaggResponse>
        /// Only touched on the loop.
        private let state: NIOLoopBoundBox<State>

        private struct State {
            var request: (any RequestInFlight)?
            var isCancelled = false
        }

        init(head: EventLoopPromise<DisaggResponse>, eventLoop: any EventLoop) {
            self.eventLoop = eventLoop
            self.head = head
            state = NIOLoopBoundBox(State(), eventLoop: eventLoop)
        }

        /// Whether the reader left already; on the loop.
        var isCancelled: Bool { state.value.isCancelled }

        /// Names the request; on the loop.
        func bind(_ request: (any RequestInFlight)?) { state.value.request = request }

        /// The reader cannot keep up; on the loop.
        func pause() { state.value.request?.clientIsWritable(false) }

        func produceMore() {
            eventLoop.execute { self.state.value.request?.clientIsWritable(true) }
        }

        func didTerminate() { cancel() }

        /// The reader went away, or ended.
        func cancel() {
            eventLoop.execute {
                let request = self.state.value.request
                self.state.value = State(request: nil, isCancelled: true)
                request?.clientGone()
                // Nothing where the head was given already.
                self.head.fail(DisaggError(.unavailable, "the request was cancelled"))
            }
        }
    }
}
