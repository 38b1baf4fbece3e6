import NIOCore

/// One rank of an LMCache decode engine: reserves buffer chunks for prefills and gives them to matching requests.
final class LMCacheReceiver {
    private var buffer: PDBuffer
    /// Who asked for a reservation that is not stored yet.
    private var senders: [String: any Channel] = [:]
    private let onTransferred: (_ chunks: Int) -> Void
    private let onReleased: (_ chunks: Int) -> Void
    private let onViolation: () -> Void
    private var chunkCounts: [String: Int] = [:]

    init(
        capacity: Int, onTransferred: @escaping (_ chunks: Int) -> Void,
        onReleased: @escaping (_ chunks: Int) -> Void, onViolation: @escaping () -> Void
    ) {
        buffer = PDBuffer(capacity: capacity)
        self.onTransferred = onTransferred
        self.onReleased = onReleased
        self.onViolation = onViolation
    }

    /// Chunks in use.
    var used: Int { buffer.used }

    /// A message from a prefill engine's rank.
    func received(_ message: JSONView, from channel: any Channel) {
        guard let id = message["request"]?.string else { return onViolation() }
        switch message["op"]?.string {
        case "alloc":
            let keys = message["keys"]?.integers ?? []
            switch buffer.reserve(id, keys: keys) {
            case .granted:
                register(id, channel, keys.count)
                grant(id)
            case .waiting: register(id, channel, keys.count)
            case .duplicate:
                onViolation()
                reply("error", id, channel)
            }
        case "put":
            guard buffer.store(id) else {
                onViolation()
                return reply("error", id, channel)
            }
            senders[id] = nil
            onTransferred(chunkCounts.removeValue(forKey: id) ?? 0)
            reply("stored", id, channel)
        default: onViolation()
        }
    }

    /// A prefill engine asks how much of a prompt is here.
    func asked(_ message: JSONView, from channel: any Channel) {
        guard message["op"]?.string == "query", let id = message["request"]?.string else { return onViolation() }
        let held = buffer.heldChunks(message["keys"]?.integers ?? [])
        PeerLineHandler.send(
            #"{"op":"held","request":\#(JSONString.encode(id)),"chunks":\#(held)}"#, to: channel)
    }

    /// A prefill engine's connection is gone.
    func closed(_ channel: any Channel) {
        for (id, sender) in senders where sender === channel {
            senders[id] = nil
            chunkCounts[id] = nil
            let (freed, granted) = buffer.cancel(id)
            if freed > 0 { onReleased(freed) }
            granted.forEach(grant)
        }
    }

    /// Gives a request the chunks of its prompt.
    func retrieve(_ keys: [Int]) -> PDBuffer.Retrieval {
        let result = buffer.retrieve(keys)
        if result.freed > 0 { onReleased(result.freed) }
        result.granted.forEach(grant)
        return result
    }

    private func register(_ id: String, _ channel: any Channel, _ chunks: Int) {
        senders[id] = channel
        chunkCounts[id] = chunks
    }

    private func grant(_ id: String) {
        if let channel = senders[id] { reply("granted", id, channel) }
    }

    private func reply(_ operation: String, _ id: String, _ channel: any Channel) {
        PeerLineHandler.send(#"{"op":"\#(operation)","request":\#(JSONString.encode(id))}"#, to: channel)
    }
}
