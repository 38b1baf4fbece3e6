import DequeModule
import NIOCore

/// Connections from one simulated engine to others, opened when first needed; what is sent before one stands waits for it.
final class PeerLinks {
    private let loop: any EventLoop
    private let onLine: (JSONView, Endpoint) -> Void
    private let onLost: (Endpoint) -> Void
    private var links: [Endpoint: PeerLink] = [:]
    private var unsent: [Endpoint: Deque<String>] = [:]

    /// - Parameters:
    ///   - onLine: called on the loop with each message.
    ///   - onLost: called on the loop when a connection cannot be made or has ended; what waited for it is dropped.
    init(
        loop: any EventLoop, onLine: @escaping (JSONView, Endpoint) -> Void, onLost: @escaping (Endpoint) -> Void
    ) {
        self.loop = loop
        self.onLine = onLine
        self.onLost = onLost
    }

    /// Sends one message, in order with the others to that engine.
    func send(_ json: String, to endpoint: Endpoint) {
        unsent[endpoint, default: []].append(json)
        if links[endpoint] == nil { open(endpoint) }
        flush(endpoint)
    }

    func close() {
        for link in links.values { link.close() }
        links = [:]
        unsent = [:]
    }

    private func open(_ endpoint: Endpoint) {
        links[endpoint] = PeerLink(
            to: endpoint, loop: loop, retry: nil,
            onState: { [weak self] state in
                if state == .broken { self?.lost(endpoint) } else { self?.flush(endpoint) }
            },
            onLine: { [weak self] message in self?.onLine(message, endpoint) })
    }

    private func flush(_ endpoint: Endpoint) {
        guard let link = links[endpoint], link.state == .connected else { return }
        while let next = unsent[endpoint]?.popFirst() { link.send(next) }
    }

    private func lost(_ endpoint: Endpoint) {
        links[endpoint] = nil
        unsent[endpoint] = nil
        onLost(endpoint)
    }
}
