import DequeModule
import NIOCore

/// The giving side of every protocol in which the engine that has KV keeps it until another engine takes it.
///
/// KV is offered under a key: a request id, a transfer id, a room. It is taken once. A claim for what is not offered yet is
/// answered at once (`nixl`, where the decoder comes second), or waits (where both legs run at once).
///
/// | message of the other engine | KV offered        | taken before | unknown, waiting allowed | unknown                  |
/// |-----------------------------|-------------------|--------------|--------------------------|--------------------------|
/// | claim                       | ok; it is freed   | consumed     | waits                    | unknown                  |
/// | release                     | it is freed       | nothing      | ends; freed when offered | nothing                  |
/// | heartbeat                   | lives longer      | nothing      | nothing                  | nothing                  |
/// | connection closed           | stays             | –            | its claims are forgotten | –                        |
final class KVOffers {
    /// What became of blocks.
    enum Event {
        case held(Int)
        case read(Int)
        case released(Int)
        /// Its time was over; `isFault` where it had none.
        case expired(Int, isFault: Bool)
        case doubleRead(Int)
        case unknown
        /// A key was offered twice.
        case reused
    }

    private struct Offer {
        var blocks: Int
        var prompt: UInt64
        var lifetime: Scheduled<Void>
        var onTaken: (() -> Void)?
    }

    private struct Claim {
        var number: Int
        var channel: any Channel
    }

    /// How many taken keys are remembered to tell a second claim from an unknown one.
    private static let rememberedKeys = 10_000

    /// What claims must name; claims that name another engine find nothing.
    let engineID: String
    /// Called when a claim waits for a key.
    var onWaiting: ((_ key: String) -> Void)?
    private let loop: any EventLoop
    private let claimsWait: Bool
    private let onEvent: (Event) -> Void
    private var offers: [String: Offer] = [:]
    private var waiting: [String: [Claim]] = [:]
    private var taken: [String: Int] = [:]
    private var takenOrder: Deque<String> = []
    private var releasedEarly: Set<String> = []
    private var releasedOrder: Deque<String> = []

    /// - Parameter claimsWait: whether a claim may come before its KV.
    init(engineID: String, loop: any EventLoop, claimsWait: Bool, onEvent: @escaping (Event) -> Void) {
        self.engineID = engineID
        self.loop = loop
        self.claimsWait = claimsWait
        self.onEvent = onEvent
    }

    /// Whether another engine waits for this key.
    func isAwaited(_ key: String) -> Bool { waiting[key]?.isEmpty == false }

    /// KV is there.
    ///
    /// - Parameters:
    ///   - prompt: hash of the prompt; the taker compares it with its own.
    ///   - lifetime: how long it is kept for a taker.
    ///   - onTaken: called when it was taken; not when it expires.
    func offer(
        _ key: String, blocks: Int, prompt: UInt64, lifetime: Duration, onTaken: (() -> Void)? = nil
    ) {
        if let old = end(key) {
            onEvent(.released(old.blocks))
            onEvent(.reused)
        } else if taken[key] != nil {
            onEvent(.reused)
        }
        onEvent(.held(blocks))
        let timer = schedule(key, lifetime)
        offers[key] = Offer(blocks: blocks, prompt: prompt, lifetime: timer, onTaken: onTaken)
        if releasedEarly.remove(key) != nil {
            _ = end(key).map { onEvent(.released($0.blocks)) }
        } else if let claim = waiting.removeValue(forKey: key)?.first {
            answer(claim.number, key, to: claim.channel)
        }
    }

    /// The engine frees what it offered; nobody can take it any more.
    func withdraw(_ key: String) {
        guard let offer = end(key) else { return }
        onEvent(.released(offer.blocks))
    }

    /// A message on the engine's channel.
    ///
    /// - Parameter extension: what a heartbeat adds to a lifetime.
    func received(_ message: JSONView, from channel: any Channel, extension: Duration = .zero) {
        guard let key = message["key"]?.string else { return }
        let isOurs = message["engine"]?.string == engineID
        switch message["op"]?.string {
        case "claim":
            let number = message["claim"]?.int ?? 0
            guard isOurs else {
                onEvent(.unknown)
                return refuse(number, "unknown", channel)
            }
            answer(number, key, to: channel)
        case "release" where isOurs:
            for claim in waiting.removeValue(forKey: key) ?? [] { refuse(claim.number, "released", claim.channel) }
            if let offer = end(key) {
                onEvent(.released(offer.blocks))
            } else if claimsWait, taken[key] == nil {
                remember(early: key)
            }
        case "heartbeat" where isOurs:
            guard var offer = offers[key], `extension` > .zero else { return }
            offer.lifetime.cancel()
            offer.lifetime = schedule(key, `extension`)
            offers[key] = offer
        default: break
        }
    }

    /// Another engine's connection is gone, and with it what waited on it.
    func closed(_ channel: any Channel) {
        for (key, claims) in waiting {
            let left = claims.filter { $0.channel !== channel }
            if left.count != claims.count { waiting[key] = left.isEmpty ? nil : left }
        }
    }

    func close() {
        for offer in offers.values { offer.lifetime.cancel() }
        offers = [:]
        waiting = [:]
    }

    private func answer(_ number: Int, _ key: String, to channel: any Channel) {
        if let offer = end(key) {
            onEvent(.read(offer.blocks))
            PeerLineHandler.send(
                #"{"op":"ok","claim":\#(number),"blocks":\#(offer.blocks),"prompt":"\#(offer.prompt)"}"#, to: channel)
            offer.onTaken?()
        } else if let blocks = taken[key] {
            onEvent(.doubleRead(blocks))
            refuse(number, "consumed", channel)
        } else if claimsWait {
            waiting[key, default: []].append(Claim(number: number, channel: channel))
            onWaiting?(key)
        } else {
            onEvent(.unknown)
            refuse(number, "unknown", channel)
        }
    }

    private func refuse(_ number: Int, _ operation: String, _ channel: any Channel) {
        PeerLineHandler.send(#"{"op":"\#(operation)","claim":\#(number)}"#, to: channel)
    }

    private func schedule(_ key: String, _ lifetime: Duration) -> Scheduled<Void> {
        loop.assumeIsolated().scheduleTask(in: TimeAmount(lifetime)) {
            guard let offer = self.offers.removeValue(forKey: key) else { return }
            self.onEvent(.expired(offer.blocks, isFault: lifetime == .zero))
        }
    }

    /// Takes an offer out and remembers its key.
    private func end(_ key: String) -> Offer? {
        guard let offer = offers.removeValue(forKey: key) else { return nil }
        offer.lifetime.cancel()
        if taken.updateValue(offer.blocks, forKey: key) == nil { takenOrder.append(key) }
        if takenOrder.count > Self.rememberedKeys { taken[takenOrder.removeFirst()] = nil }
        return offer
    }

    private func remember(early key: String) {
        guard releasedEarly.insert(key).inserted else { return }
        releasedOrder.append(key)
        if releasedOrder.count > Self.rememberedKeys { releasedEarly.remove(releasedOrder.removeFirst()) }
    }
}
