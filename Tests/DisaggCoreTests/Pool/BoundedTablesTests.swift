import NIOCore
import Testing

@testable import DisaggCore

/// What the proxy remembers of requests does not grow with them.
@Suite("Bounded tables", .timeLimit(.minutes(5)))
struct BoundedTablesTests {
    private static let requests = 1_000_000

    @Test("a million distinct prompts leave the prefix table of a pool at its size")
    func prefixes() throws {
        let backends = { (role: BackendRole) in
            (0..<4).map { Backend(id: role.backendID(replica: $0), role: role, host: "127.0.0.1", port: 1 + $0) }
        }
        var routing = RoutingSettings()
        routing.pairCost.maximumBlocks = 65_536
        let pool = BackendPool(prefill: backends(.prefill), decode: backends(.decode), routing: routing)
        let policy = try #require(pool.policies.pair as? PairCostPolicy)
        var generator = SeededGenerator(seed: 5)
        var facts = RequestFacts()
        facts.promptTokens = 128
        facts.prefixKeys = [0, 0]
        for number in 0..<Self.requests {
            facts.prefixKeys[0] = generator.next()
            facts.prefixKeys[1] = generator.next()
            let now = NIODeadline.uptimeNanoseconds(1_000_000_000 + UInt64(number) * 1_000_000)
            guard case .chosen = pool.pickPair(for: facts, PickConstraints(), at: now, using: &generator) else {
                Issue.record("nothing was chosen")
                return
            }
        }
        #expect(policy.index.count <= 65_536)
        #expect(policy.index.bytes <= 65_536 * PrefixShard.bytesPerKey)
    }

    @Test("a million distinct blocks leave an engine's table of KV events at its size")
    func kvEvents() {
        let index = KVEventIndex(maximumBlocks: 10_000)
        for first in stride(from: 0, to: Self.requests, by: 1000) {
            var stored = KVStoredBlocks()
            stored.blockSize = 1
            stored.hashes = (first..<first + 1000).map { UInt64($0) }
            stored.tokens = (first..<first + 1000).map { Int32($0) }
            index.apply([.stored(stored)], serial: 0)
        }
        let size = index.size
        #expect(size.blocks == 10_000)
        #expect(size.bytes < 1 << 20, "\(size.bytes)")
        index.reset(serial: 0)
        #expect(index.size.bytes == 0)
    }

    @Test("a million conversations leave the table of turns at its size")
    func turns() throws {
        var turns = ConversationTurns()
        let prompt = ByteBuffer(string: "a prompt")
        let fingerprint = try #require(ConversationTurns.Fingerprint(prompt, bytes: 8))
        for number in 0..<Self.requests {
            turns.keep(
                prompt, of: .init(conversation: "\(number)", authorization: ""), prompt: fingerprint,
                expires: .distantFuture)
        }
        #expect(turns.count == ConversationTurns.capacity)
    }

    @Test("a million tenants that came and left leave nothing in the queue")
    func tenants() {
        var queue = AdmissionQueue<Int>(capacity: 8)
        for number in 0..<Self.requests {
            guard let ticket = queue.arrive(number, tenant: UInt64(number), priority: number % 1000) else {
                Issue.record("the queue is full")
                return
            }
            _ = queue.leave(ticket)
        }
        #expect(queue.count == 0)
        for table in Mirror(reflecting: queue).children where ["levels", "priorities", "places"].contains(table.label) {
            #expect(Mirror(reflecting: table.value).children.isEmpty, "\(table.label ?? "")")
        }
    }
}
