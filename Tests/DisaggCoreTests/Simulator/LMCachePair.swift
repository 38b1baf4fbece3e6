import NIOConcurrencyHelpers

@testable import DisaggCore

/// Notifications as the prefill engine sent them, to be waited for.
final class NotifiedIDs: Sendable {
    private let state = NIOLockedValueBox<
        (counts: [String: Int], waiters: [(String, Int, CheckedContinuation<Void, Never>)])
    >(
        ([:], []))

    func add(_ id: String) {
        let ready = state.withLockedValue { state in
            state.counts[id, default: 0] += 1
            let ready = state.waiters.filter { $0.0 == id && state.counts[id, default: 0] >= $0.1 }
            state.waiters.removeAll { $0.0 == id && state.counts[id, default: 0] >= $0.1 }
            return ready
        }
        for waiter in ready { waiter.2.resume() }
    }

    func count(_ id: String) -> Int { state.withLockedValue { $0.counts[id] ?? 0 } }

    func wait(_ id: String, count: Int = 1) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLockedValue { state in
                if state.counts[id, default: 0] >= count { return true }
                state.waiters.append((id, count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// An LMCache prefill and decode engine and the notifications between them and the test.
struct LMCachePair {
    let prefillEngine: SimulatedEngine
    let decodeEngine: SimulatedEngine
    let prefill: RawHTTPClient
    let decode: RawHTTPClient
    let notices = NotifiedIDs()

    /// - Parameter notify: a real listener for the notifications; ``notices`` gets them where nil.
    init(
        firstToken: FirstTokenSource = .decode, ranks: Int = 1, bufferChunks: Int = 128, notify: Endpoint? = nil,
        isSynchronous: Bool = false, isBidirectional: Bool = false
    ) async throws {
        var configuration = SimulatedEngineConfiguration(role: .decode, handoff: .lmcache)
        configuration.firstToken = firstToken
        configuration.ranks = ranks
        configuration.bufferChunks = bufferChunks
        configuration.isSynchronous = isSynchronous
        configuration.isBidirectional = isBidirectional
        decodeEngine = SimulatedEngine(configuration: configuration)
        decode = RawHTTPClient(port: try await decodeEngine.start())
        configuration.role = .prefill
        configuration.notifyEndpoint = notify ?? Endpoint(host: "localhost", port: 1)
        if notify == nil { configuration.notify = { [notices] _, _, _, id in notices.add(id) } }
        prefillEngine = SimulatedEngine(configuration: configuration)
        prefill = RawHTTPClient(port: try await prefillEngine.start())
    }

    /// A `disagg_spec` for the decoder.
    func spec(_ id: String) -> String {
        let receiver = decodeEngine.receiver ?? PDReceiver(host: "", initPorts: [], allocPorts: [])
        let queries = receiver.queryPorts.isEmpty ? "" : #","receiver_query_port":\#(receiver.queryPorts)"#
        return #"{"req_id":"\#(id)","receiver_host":"\#(receiver.host)","receiver_init_port":\#(receiver.initPorts),"#
            + #""receiver_alloc_port":\#(receiver.allocPorts)\#(queries)}"#
    }

    /// A prefill body around the members given.
    func prefillBody(_ id: String, _ members: String, returnsFirstToken: Bool = false) -> String {
        let flag = returnsFirstToken ? #""ret_first_tok":false,"# : ""
        return #"{\#(members),"max_tokens":1,"kv_transfer_params":{\#(flag)"disagg_spec":\#(spec(id))}}"#
    }

    func shutdown() async {
        await prefillEngine.shutdown()
        await decodeEngine.shutdown()
    }
}
