import DequeModule
import NIOCore

/// The consuming side of vLLM's NixlConnector (pull): reads a prompt's blocks from the engine that computed them.
final class NIXLConsumer {
    /// The fields of `kv_transfer_params` a read needs.
    struct Source {
        var engineID: String
        var requestID: String
        var endpoint: Endpoint
        var blocks: Int

        /// Nil where a field is missing or no block is named: vLLM then warns and computes the prompt itself
        /// (`pull_scheduler.py` 135-180).
        init?(_ transfer: JSONView) {
            guard transfer["do_remote_prefill"]?.bool == true, let engine = transfer["remote_engine_id"]?.string,
                let request = transfer["remote_request_id"]?.string, let host = transfer["remote_host"]?.string,
                let port = transfer["remote_port"]?.int, (1...65535).contains(port),
                let groups = transfer["remote_block_ids"]?.elements
            else { return nil }
            let count = groups.reduce(0) { $0 + ($1.integers?.count ?? 1) }
            guard count > 0 else { return nil }
            engineID = engine
            requestID = request
            endpoint = Endpoint(host: host, port: port)
            blocks = count
        }
    }

    private let loop: any EventLoop
    private var links: [Endpoint: PeerLink] = [:]
    /// What waits for a link to stand, and then for answers, which come in order.
    private var unsent: [Endpoint: Deque<(json: String, onAnswer: (Bool) -> Void)>] = [:]
    private var unanswered: [Endpoint: Deque<(Bool) -> Void>] = [:]

    init(loop: any EventLoop) { self.loop = loop }

    /// Reads the blocks; `onEnd` says whether they were there.
    func pull(_ source: Source, onEnd: @escaping (Bool) -> Void) { ask("pull", source, onEnd) }

    /// Tells the producer that nobody will read the blocks (Docs/EngineFacts.md rows 9 and 10).
    func release(_ source: Source) { ask("release", source) { _ in } }

    func close() {
        for link in links.values { link.close() }
        links = [:]
        unsent = [:]
        unanswered = [:]
    }

    private func ask(_ operation: String, _ source: Source, _ onAnswer: @escaping (Bool) -> Void) {
        let json =
            #"{"op":"\#(operation)","engine":\#(JSONString.encode(source.engineID)),"#
            + #""request":\#(JSONString.encode(source.requestID))}"#
        unsent[source.endpoint, default: []].append((json, onAnswer))
        if links[source.endpoint] == nil { open(source.endpoint) }
        flush(source.endpoint)
    }

    private func open(_ endpoint: Endpoint) {
        links[endpoint] = PeerLink(
            to: endpoint, loop: loop, retry: nil,
            onState: { [weak self] state in
                if state == .broken { self?.lost(endpoint) } else { self?.flush(endpoint) }
            },
            onLine: { [weak self] message in
                let isThere = message["op"]?.string == "ok"
                if let onAnswer = self?.unanswered[endpoint]?.popFirst() { onAnswer(isThere) }
            })
    }

    private func flush(_ endpoint: Endpoint) {
        guard let link = links[endpoint], link.state == .connected else { return }
        while let next = unsent[endpoint]?.popFirst() {
            unanswered[endpoint, default: []].append(next.onAnswer)
            link.send(next.json)
        }
    }

    private func lost(_ endpoint: Endpoint) {
        links[endpoint] = nil
        let waiting = unanswered.removeValue(forKey: endpoint) ?? []
        let queued = unsent.removeValue(forKey: endpoint) ?? []
        for onAnswer in waiting { onAnswer(false) }
        for next in queued { next.onAnswer(false) }
    }
}
