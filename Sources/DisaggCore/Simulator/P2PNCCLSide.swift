import NIOCore

/// `P2pNcclConnector` of vLLM before June 2026: the request id carries both engines' addresses, and the prefill engine puts
/// its tensors into the decoder's store under that id.
///
/// | what happens                                        | what the engines do                                           |
/// |-----------------------------------------------------|---------------------------------------------------------------|
/// | an id without the addresses                         | it cannot be parsed: the engine dies                          |
/// | a decode that fails inside the engine               | its tensors are dropped with it                               |
/// | a decode that is refused before that                | its tensors stay                                              |
/// | a decode whose tensors have not come                | the worker waits for them, and with it every other request    |
/// | a prefill that failed, other ids on the two legs    | the same, for ever                                            |
/// | a prefill that is never decoded                     | its tensors stay in the decoder's store for ever              |
/// | the decoder's store is full                         | tensors are dropped; the decode that needs them waits         |
///
/// Randomised id suffixes are off (`VLLM_DISABLE_REQUEST_ID_RANDOMIZATION=1`), as the connector needs since vLLM 0.14.
/// Source: vLLM before PR #44854 `p2p/p2p_nccl_connector.py`, `p2p_nccl_engine.py`; vLLM issues 42839, 34277, 33947.
final class P2PNCCLSide: EngineSide {
    private weak var core: SimulatedEngineCore?
    private var links: PeerLinks?
    /// Prefill: what is on its way, and what goes on when it has arrived.
    private var sending: [String: (decoder: Endpoint, onSent: () -> Void)] = [:]
    /// Decoder: tensors received and not used.
    private var store: [String: (blocks: Int, prompt: UInt64)] = [:]
    private var storedBlocks = 0
    /// Decoder: what the worker waits for, first come first served.
    private var awaited: [(key: String, request: ActiveRequest)] = []

    init(_ core: SimulatedEngineCore) {
        self.core = core
        links = PeerLinks(
            loop: core.loop, onLine: { [weak self] message, _ in self?.sent(message["key"]?.string) },
            onLost: { [weak self] endpoint in
                for key in self?.sending.filter({ $0.value.decoder == endpoint }).map(\.key) ?? [] { self?.sent(key) }
            })
    }

    var held: Int { storedBlocks }

    func start(_ request: ActiveRequest) {
        guard let core else { return }
        switch core.configuration.role {
        case .prefill:
            guard Self.address(in: request.requestID, "___decode_addr_", end: "_") != nil else { return core.crash() }
            core.scheduler.submit(request)
        case .decode:
            guard Self.address(in: request.requestID, "___prefill_addr_", end: "___") != nil else {
                return core.crash()
            }
            for key in keys(request) where store[key] == nil { awaited.append((key, request)) }
            block()
            if !awaited.contains(where: { $0.request === request }) { take(request) }
        case .both: core.scheduler.submit(request)
        }
    }

    func prefilled(_ request: ActiveRequest, run: @escaping () -> Void) {
        guard let core, core.configuration.role == .prefill,
            let decoder = Self.address(in: request.requestID, "___decode_addr_", end: "_")
        else { return run() }
        // Asynchronous puts end before the step does: `wait_for_save` waits until the queue is empty.
        let keys = keys(request)
        var missing = keys.count
        for (index, key) in keys.enumerated() {
            let prompt = request.request.prompts[index / request.request.choices]
            sending[key] = (
                decoder,
                {
                    missing -= 1
                    if missing == 0 { run() }
                }
            )
            let blocks = core.blocks(prompt.count)
            core.ledger.transferred += blocks
            core.ledger.released += blocks
            links?.send(
                #"{"op":"put","key":\#(JSONString.encode(key)),"blocks":\#(blocks),"prompt":"\#(TokenHistory(prompt).hash)"}"#,
                to: decoder
            )
        }
    }

    private func sent(_ key: String?) {
        if let key { sending.removeValue(forKey: key)?.onSent() }
    }

    func failed(_ id: String) {
        for (key, entry) in store where key.hasPrefix(id) {
            store[key] = nil
            storedBlocks -= entry.blocks
            core?.ledger.released += entry.blocks
        }
    }

    func received(_ message: JSONView, on listener: SideListener, from channel: any Channel) {
        guard let core, message["op"]?.string == "put", let key = message["key"]?.string,
            let blocks = message["blocks"]?.int, let prompt = message["prompt"]?.string.flatMap({ UInt64($0) })
        else { return }
        PeerLineHandler.send(#"{"op":"sent","key":\#(JSONString.encode(key))}"#, to: channel)
        guard storedBlocks + blocks <= core.configuration.storeBlocks, store[key] == nil else {
            core.ledger.protocolViolations += 1
            return
        }
        store[key] = (blocks, prompt)
        storedBlocks += blocks
        core.ledger.transferred += blocks
        let requests = awaited.filter { $0.key == key }.map(\.request)
        awaited.removeAll { $0.key == key }
        for request in requests where !awaited.contains(where: { $0.request === request }) { take(request) }
        block()
    }

    func close() { links?.close() }

    /// What the tensors of each prompt are stored under: a child of `n` above 1 has an id of its own, which no prefill of one
    /// choice sends (vLLM 0.33.0 `v1/engine/parallel_sampling.py` 94).
    private func keys(_ request: ActiveRequest) -> [String] {
        let choices = request.request.choices
        return request.request.prompts.indices.flatMap { index in
            let id = request.baseID(prompt: index)
            return choices > 1 ? (0..<choices).map { "\($0)_\(id)" } : [id]
        }
    }

    /// Every tensor of a request is there: it is used up, also where the client has left meanwhile.
    private func take(_ request: ActiveRequest) {
        guard let core else { return }
        let hashes = request.request.prompts.map { TokenHistory($0).hash }
        for (index, key) in keys(request).enumerated() {
            guard let entry = store.removeValue(forKey: key) else { continue }
            storedBlocks -= entry.blocks
            core.ledger.released += entry.blocks
            if entry.prompt != hashes[index / request.request.choices] { core.ledger.protocolViolations += 1 }
        }
        guard !request.isOver, !core.ledger.dead else { return }
        core.loaded(request)
        core.scheduler.submit(request)
    }

    /// The worker sits in `recv_tensor` while something is missing: nothing else moves.
    private func block() {
        guard let core else { return }
        core.ledger.stuck = awaited.count
        core.scheduler.isBlocked = !awaited.isEmpty
    }

    /// `ip:port` behind a mark in a request id.
    static func address(in id: String, _ mark: String, end: String) -> Endpoint? {
        guard let start = id.firstRange(of: mark)?.upperBound else { return nil }
        let rest = id[start...]
        guard let stop = rest.firstRange(of: end)?.lowerBound else { return nil }
        let endpoint = ConfigText.endpoint(String(rest[..<stop]))
        return endpoint.flatMap { $0.port > 0 ? $0 : nil }
    }
}
