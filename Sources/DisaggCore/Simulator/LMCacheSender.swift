import DequeModule
import NIOCore

/// One rank of an LMCache prefill engine: sends finished prefills to decoders, one after the other.
///
/// Two stages, as in the real worker. The *handshake* with a decoder not met before blocks the worker: while its port
/// does not answer, neither this prefill nor any later one ends. The *transfer* runs beside
/// the engine: while a decoder has no room, later notifications wait but HTTP answers do not (Docs/EngineFacts.md row 5).
/// A decoder that was met and went away is never met again: its prefills end without a notification (fact 8).
final class LMCacheSender {
    /// A finished prefill.
    struct Job {
        var id: String
        var receiver: Endpoint
        var keys: [Int]
        /// Called when the worker is free again, with the synchronous backend after the transfer: the answer may go out.
        var onHandshake: () -> Void
    }

    /// What the engine must hear of.
    enum Event {
        case transferred(chunks: Int)
        case dropped(chunks: Int)
        case violation(chunks: Int)
        case finished(id: String)
    }

    private let loop: any EventLoop
    /// `pd_backend_mode: sync`: the worker waits until the KV is stored.
    private let isSynchronous: Bool
    private let onEvent: (Event) -> Void
    private var links: [Endpoint: PeerLink] = [:]
    private var handshakes: Deque<Job> = []
    private var transfers: Deque<Job> = []
    private var current: Job?

    init(loop: any EventLoop, isSynchronous: Bool = false, onEvent: @escaping (Event) -> Void) {
        self.loop = loop
        self.isSynchronous = isSynchronous
        self.onEvent = onEvent
    }

    func submit(_ job: Job) {
        handshakes.append(job)
        pumpHandshakes()
    }

    func close() {
        for link in links.values { link.close() }
        links = [:]
        handshakes = []
        transfers = []
        current = nil
    }

    private func pumpHandshakes() {
        while let job = handshakes.first {
            if link(to: job.receiver).state == .connecting { return }
            handshakes.removeFirst()
            transfers.append(job)
            if !isSynchronous { job.onHandshake() }
            pumpTransfers()
        }
    }

    private func link(to receiver: Endpoint) -> PeerLink {
        if let link = links[receiver] { return link }
        let link = PeerLink(
            to: receiver, loop: loop, retry: .milliseconds(250),
            onState: { [weak self] state in self?.changed(receiver, state) },
            onLine: { [weak self] in self?.received($0) })
        links[receiver] = link
        return link
    }

    private func changed(_ receiver: Endpoint, _ state: PeerLink.State) {
        if state == .broken, let job = current, job.receiver == receiver {
            current = nil
            end(job, .dropped(chunks: job.keys.count))
        }
        pumpHandshakes()
        pumpTransfers()
    }

    private func pumpTransfers() {
        while current == nil, let job = transfers.popFirst() {
            let link = link(to: job.receiver)
            guard link.state == .connected else {
                end(job, .dropped(chunks: job.keys.count))
                continue
            }
            current = job
            link.send(
                #"{"op":"alloc","request":\#(JSONString.encode(job.id)),"keys":\#(AnswerContext.list(job.keys))}"#)
        }
    }

    private func end(_ job: Job, _ event: Event) {
        onEvent(event)
        if isSynchronous { job.onHandshake() }
    }

    private func received(_ message: JSONView) {
        guard let job = current, message["request"]?.string == job.id else { return }
        switch message["op"]?.string {
        case "granted":
            links[job.receiver]?.send(#"{"op":"put","request":\#(JSONString.encode(job.id))}"#)
        case "stored":
            current = nil
            onEvent(.finished(id: job.id))
            end(job, .transferred(chunks: job.keys.count))
            pumpTransfers()
        default:
            current = nil
            end(job, .violation(chunks: job.keys.count))
            pumpTransfers()
        }
    }
}
