import NIOCore

/// The taking side of every protocol in which the engine that has KV keeps it until another engine takes it; the other end
/// of ``KVOffers``.
final class KVClaims {
    /// How a claim ended.
    enum Outcome: Equatable {
        /// The KV came; `prompt` is the hash of the prompt it was computed from.
        case loaded(blocks: Int, prompt: UInt64)
        /// The other engine does not have it, or not any more.
        case missing
        /// The connection to the other engine broke.
        case lost
        case timedOut
    }

    /// Where KV is.
    struct Source {
        var endpoint: Endpoint
        var engineID: String
        var key: String
    }

    private struct Claim {
        var endpoint: Endpoint
        var timer: Scheduled<Void>?
        var onEnd: (Outcome) -> Void
    }

    private let loop: any EventLoop
    private let noticesLoss: Bool
    private var links: PeerLinks?
    private var claims: [Int: Claim] = [:]
    private var lastNumber = 0

    /// - Parameter noticesLoss: whether a claim ends when the other engine dies. A ZeroMQ socket does not tell; then only a
    ///   time limit ends it.
    init(loop: any EventLoop, noticesLoss: Bool) {
        self.loop = loop
        self.noticesLoss = noticesLoss
        links = PeerLinks(
            loop: loop, onLine: { [weak self] message, _ in self?.received(message) },
            onLost: { [weak self] endpoint in self?.lost(endpoint) })
    }

    /// Asks for KV.
    ///
    /// - Parameters:
    ///   - timeout: how long to wait; nil for ever.
    ///   - onEnd: called once.
    func claim(_ source: Source, timeout: Duration?, onEnd: @escaping (Outcome) -> Void) {
        lastNumber += 1
        let number = lastNumber
        let timer = timeout.map { limit in
            loop.assumeIsolated().scheduleTask(in: TimeAmount(limit)) { self.end(number, .timedOut) }
        }
        claims[number] = Claim(endpoint: source.endpoint, timer: timer, onEnd: onEnd)
        send("claim", source, #","claim":\#(number)"#)
    }

    /// Tells the other engine that nobody will take the KV.
    func release(_ source: Source) { send("release", source) }

    /// Tells the other engine that the KV will be taken.
    func heartbeat(_ source: Source) { send("heartbeat", source) }

    func close() {
        for claim in claims.values { claim.timer?.cancel() }
        claims = [:]
        links?.close()
    }

    private func send(_ operation: String, _ source: Source, _ more: String = "") {
        links?.send(
            #"{"op":"\#(operation)","engine":\#(JSONString.encode(source.engineID)),"#
                + #""key":\#(JSONString.encode(source.key))\#(more)}"#, to: source.endpoint)
    }

    private func received(_ message: JSONView) {
        guard let number = message["claim"]?.int else { return }
        guard message["op"]?.string == "ok", let blocks = message["blocks"]?.int,
            let prompt = message["prompt"]?.string.flatMap({ UInt64($0) })
        else { return end(number, .missing) }
        end(number, .loaded(blocks: blocks, prompt: prompt))
    }

    private func lost(_ endpoint: Endpoint) {
        guard noticesLoss else { return }
        for (number, claim) in claims where claim.endpoint == endpoint { end(number, .lost) }
    }

    private func end(_ number: Int, _ outcome: Outcome) {
        guard let claim = claims.removeValue(forKey: number) else { return }
        claim.timer?.cancel()
        claim.onEnd(outcome)
    }
}
