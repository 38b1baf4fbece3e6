import NIOCore

/// What the data-parallel ranks of one engine offer, each on a channel and under an engine id of its own.
struct RankedOffers {
    private let ranks: [KVOffers]

    /// - Parameters:
    ///   - claimsWait: whether a claim may come before its KV.
    ///   - engineID: what claims of a rank must name.
    ///   - onEvent: what becomes of blocks; counted as the engine's own by default.
    init(
        _ core: SimulatedEngineCore, ranks: DataParallelRanks, claimsWait: Bool, engineID: (_ rank: Int) -> String,
        onEvent: @escaping (SimulatedEngineCore, KVOffers.Event) -> Void = { $0.offered($1) }
    ) {
        self.ranks = (0..<ranks.count).map { rank in
            KVOffers(engineID: engineID(rank), loop: core.loop, claimsWait: claimsWait) { [weak core] event in
                if let core { onEvent(core, event) }
            }
        }
    }

    subscript(rank: Int) -> KVOffers { ranks[rank] }

    var engineIDs: [String] { ranks.map(\.engineID) }

    /// A message that came on a rank's own channel.
    ///
    /// - Parameter extension: how much longer a heartbeat keeps KV.
    func received(
        _ message: JSONView, on listener: SideListener, from channel: any Channel, extension: Duration = .zero
    ) {
        guard case .channel(let rank) = listener else { return }
        received(message, for: rank, from: channel, extension: `extension`)
    }

    /// A message for a rank; one that does not exist is not answered.
    func received(_ message: JSONView, for rank: Int, from channel: any Channel, extension: Duration = .zero) {
        guard ranks.indices.contains(rank) else { return }
        ranks[rank].received(message, from: channel, extension: `extension`)
    }

    func closed(_ channel: any Channel) {
        for rank in ranks { rank.closed(channel) }
    }

    func close() {
        for rank in ranks { rank.close() }
    }
}
