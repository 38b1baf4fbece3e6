import DequeModule
import NIOCore

/// The producing side of vLLM's NixlConnector (pull): keeps a finished prefill's blocks until they are read, released
/// or their lease runs out.
///
/// Source: vLLM `nixl/pull_scheduler.py` 276-293, `base_scheduler.py`; Docs/EngineFacts.md rows 8 to 13.
final class NIXLProducer {
    /// What became of blocks.
    enum Event {
        case held(Int)
        case read(Int)
        case released(Int)
        case expired(Int)
        case doubleRead(Int)
        case unknown
    }

    private struct Hold {
        var blocks: Int
        var lease: Scheduled<Void>
    }

    /// How many consumed ids are remembered to tell a second read from an unknown one.
    private static let rememberedReads = 10_000

    let engineID: String
    private let loop: any EventLoop
    private let leaseDuration: TimeAmount
    private let onEvent: (Event) -> Void
    private var holds: [String: Hold] = [:]
    private var consumed: [String: Int] = [:]
    private var consumedOrder: Deque<String> = []
    private var nextBlock = 1

    init(engineID: String, loop: any EventLoop, leaseDuration: TimeAmount, onEvent: @escaping (Event) -> Void) {
        self.engineID = engineID
        self.loop = loop
        self.leaseDuration = leaseDuration
        self.onEvent = onEvent
    }

    /// Holds the blocks of a finished prefill and returns the `kv_transfer_params` of its answer.
    ///
    /// - Parameters:
    ///   - id: the internal request id, `cmpl-…-0-<8 hex>`.
    ///   - tokens: tokens of the prompt.
    func hold(_ id: String, tokens: Int, blockTokens: Int, host: String, port: Int, tensorParallel: Int) -> String {
        let count = (tokens + blockTokens - 1) / blockTokens
        let first = nextBlock
        nextBlock = nextBlock > 30_000 ? 1 : nextBlock + count
        let lease = loop.assumeIsolated().scheduleTask(in: leaseDuration) {
            guard let hold = self.holds.removeValue(forKey: id) else { return }
            self.onEvent(.expired(hold.blocks))
        }
        holds[id] = Hold(blocks: count, lease: lease)
        onEvent(.held(count))
        return #"{"do_remote_prefill":true,"do_remote_decode":false,"#
            + #""remote_block_ids":[\#(AnswerContext.list(Array(first..<first + count)))],"#
            + #""remote_engine_id":"\#(engineID)","remote_request_id":\#(JSONString.encode(id)),"#
            + #""remote_host":\#(JSONString.encode(host)),"remote_port":\#(port),"tp_size":\#(tensorParallel),"#
            + #""remote_num_tokens":\#(tokens),"dcp_size":1,"pp_size":1,"remote_blocks_expiry_time":null,"#
            + #""remote_registration_generation":0,"transfer_mode":"pull","remote_prefill_cached_tokens":0}"#
    }

    /// A message on the side channel.
    func received(_ message: JSONView, from channel: any Channel) {
        guard let id = message["request"]?.string else { return }
        let isRelease = message["op"]?.string == "release"
        let answer: String
        if message["engine"]?.string == engineID, let hold = holds.removeValue(forKey: id) {
            hold.lease.cancel()
            remember(id, hold.blocks)
            onEvent(isRelease ? .released(hold.blocks) : .read(hold.blocks))
            answer = "ok"
        } else if let blocks = consumed[id] {
            if !isRelease { onEvent(.doubleRead(blocks)) }
            answer = "consumed"
        } else {
            if !isRelease { onEvent(.unknown) }
            answer = "unknown"
        }
        PeerLineHandler.send(#"{"op":"\#(answer)","request":\#(JSONString.encode(id))}"#, to: channel)
    }

    func close() {
        for hold in holds.values { hold.lease.cancel() }
        holds = [:]
    }

    private func remember(_ id: String, _ blocks: Int) {
        consumed[id] = blocks
        consumedOrder.append(id)
        if consumedOrder.count > Self.rememberedReads { consumed[consumedOrder.removeFirst()] = nil }
    }
}
