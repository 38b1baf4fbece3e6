internal import Logging
internal import NIOCore

/// Follows one engine's KV events: its live socket, its replay socket, and the order of both. Lives on one event loop.
final class KVEventSubscription {
    private let backend: String
    private let serial: Int
    private let index: KVEventIndex
    private let logger: Logger
    private var stream: KVEventStream
    private var live: KVEventLink?
    private var replay: KVEventLink?
    private var replayIsConnected = false
    private var wantedReplay: UInt64?

    /// - Parameters:
    ///   - serial: names the engine in the index.
    ///   - events: where the engine publishes (`--kv-events-config` `endpoint`).
    ///   - replay: where it answers replay requests (`replay_endpoint`); nil where it has none.
    init(
        backend: String, serial: Int, events: Endpoint, replay: Endpoint?, index: KVEventIndex,
        eventLoop: any EventLoop, logger: Logger
    ) {
        self.backend = backend
        self.serial = serial
        self.index = index
        self.logger = logger
        stream = KVEventStream(canReplay: replay != nil)
        live = KVEventLink(local: .sub, endpoint: events, eventLoop: eventLoop) { [weak self] in self?.heard($0) }
        self.replay = replay.map { endpoint in
            KVEventLink(local: .dealer, endpoint: endpoint, eventLoop: eventLoop) { [weak self] in self?.answered($0) }
        }
    }

    func start() {
        replay?.start()
        live?.start()
    }

    func stop() {
        live?.stop()
        replay?.stop()
        index.reset(serial: serial)
    }

    /// The live socket: topic, number, payload.
    private func heard(_ event: KVEventLink.Event) {
        switch event {
        case .connected: perform(stream.connected())
        case .message(let parts):
            guard parts.count == 3, let number = Self.number(parts[1]) else { return }
            perform(stream.live(number, parts[2]))
        case .closed:
            // What it does meanwhile is unknown.
            index.reset(serial: serial)
        }
    }

    /// The replay socket: an empty frame, number, payload; the number is all ones at the end.
    private func answered(_ event: KVEventLink.Event) {
        switch event {
        case .connected:
            replayIsConnected = true
            if let number = wantedReplay { ask(from: number) }
        case .message(let parts):
            guard parts.count >= 2, let number = Self.number(parts[parts.count - 2]) else { return }
            if number == .max {
                wantedReplay = nil
                perform(stream.replayEnded(complete: true))
            } else if let payload = parts.last {
                perform(stream.replayed(number, payload))
            }
        case .closed:
            replayIsConnected = false
            guard wantedReplay != nil else { return }
            wantedReplay = nil
            perform(stream.replayEnded(complete: false))
        }
    }

    private func perform(_ actions: [KVEventStream.Action]) {
        for action in actions {
            switch action {
            case .reset: index.reset(serial: serial)
            case .requestReplay(let number):
                wantedReplay = number
                if replayIsConnected { ask(from: number) }
            case .apply(let payload):
                do throws(KVEventError) {
                    index.apply(try KVEventBatchReader.read(payload), serial: serial)
                } catch {
                    logger.warning(
                        "a batch of KV events could not be read",
                        metadata: ["disagg.backend": "\(backend)", "disagg.error": "\(error)"])
                }
            }
        }
    }

    private func ask(from number: UInt64) {
        var bytes: [UInt8] = []
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
        }
        replay?.send([[], bytes])
    }

    private static func number(_ bytes: [UInt8]) -> UInt64? {
        bytes.count == 8 ? bytes.reduce(0) { $0 << 8 | UInt64($1) } : nil
    }
}
