import NIOCore
import NIOPosix

/// A connection from one simulated engine to another, on the engine's loop.
final class PeerLink {
    enum State { case connecting, connected, broken }

    private(set) var state = State.connecting
    private let loop: any EventLoop
    private let endpoint: Endpoint
    /// How long to wait before another try; nil gives up at once.
    private let retry: TimeAmount?
    private let onState: (State) -> Void
    private let onLine: (JSONView) -> Void
    private var channel: (any Channel)?
    private var isClosed = false
    private var retryTimer: Scheduled<Void>?

    /// Starts to connect.
    ///
    /// - Parameters:
    ///   - onState: called on the loop when the link stands and when it is lost.
    ///   - onLine: called on the loop with each message.
    init(
        to endpoint: Endpoint, loop: any EventLoop, retry: TimeAmount?, onState: @escaping (State) -> Void,
        onLine: @escaping (JSONView) -> Void
    ) {
        self.endpoint = endpoint
        self.loop = loop
        self.retry = retry
        self.onState = onState
        self.onLine = onLine
        connect()
    }

    func send(_ json: String) {
        guard let channel, state == .connected else { return }
        PeerLineHandler.send(json, to: channel)
    }

    /// Closes without a call to `onState`.
    func close() {
        isClosed = true
        retryTimer?.cancel()
        channel?.close(promise: nil)
    }

    private func connect() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let link = bound.value
                    let handler = PeerLineHandler(
                        onLine: { view, _ in link.onLine(view) }, onClose: { link.move(to: .broken) })
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
            .hop(to: loop)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    self.channel = channel
                    if self.isClosed { return channel.close(promise: nil) }
                    // A peer that closed at once has told so already.
                    if self.state == .connecting { self.move(to: .connected) }
                case .failure: self.connectFailed()
                }
            }
    }

    private func connectFailed() {
        guard !isClosed else { return }
        guard let retry else { return move(to: .broken) }
        retryTimer = loop.assumeIsolated().scheduleTask(in: retry) { self.connect() }
    }

    private func move(to state: State) {
        guard self.state != state, !isClosed else { return }
        self.state = state
        onState(state)
    }
}
