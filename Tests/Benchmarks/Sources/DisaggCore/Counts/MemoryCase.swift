internal import NIOCore

/// A table that must not grow with what was put into it.
package struct MemoryCase: Sendable {
    package let name: String
    /// Makes the table; what comes back puts the prompt of a number into it.
    package let prepare: @Sendable () -> (Int) -> Void

    package static let all: [MemoryCase] = [
        // The default policy and table size, four engines of each role, prompts of 12 blocks: 3,072 bytes.
        MemoryCase(name: "prefixes") {
            let pool = CountedInput.proxy(.nixl, replicas: 4).pool
            let policy = PairCostPolicy()
            let prefill = pool.prefill.map(\.meter)
            let decode = pool.decode.map(\.meter)
            var facts = RequestFacts()
            facts.promptTokens = 768
            facts.prefixKeys = Array(repeating: 0, count: 12)
            var generator = RandomPool()
            return { number in
                for block in 0..<12 { facts.prefixKeys[block] = generator.next() }
                let now = 1_000_000_000 + UInt64(number) * 1_000_000
                CountedCase.keep(
                    policy.pickPair(
                        prefill: Candidates(prefill, now: now), decode: Candidates(decode, now: now), for: facts,
                        using: &generator))
            }
        },
        // One engine that publishes; each prompt stores 12 blocks of 16 tokens and nothing is ever removed.
        MemoryCase(name: "kv-events") {
            let index = KVEventIndex(maximumBlocks: PrefixCacheSettings().maximumBlocks)
            return { number in
                var stored = KVStoredBlocks()
                stored.blockSize = 16
                stored.hashes = (0..<12).map { UInt64(number * 12 + $0) &* 0x9E37_79B9_7F4A_7C15 }
                stored.tokens = (0..<192).map { Int32(truncatingIfNeeded: number &* 192 &+ $0) }
                index.apply([.stored(stored)], serial: 0)
            }
        },
        // Parameters as vLLM's NIXL connector answers for a prompt of 40 blocks.
        MemoryCase(name: "turns") {
            let turns = Held(ConversationTurns())
            let blocks = (0..<40).map { "\($0)" }.joined(separator: ",")
            let parameters = ByteBuffer(string: #"{"do_remote_prefill":true,"remote_block_ids":[\#(blocks)]}"#)
            return { number in
                let prompt = ByteBuffer(string: "prompt \(number)")
                guard let fingerprint = ConversationTurns.Fingerprint(prompt, bytes: 8) else { return }
                var copy = ByteBuffer()
                copy.writeImmutableBuffer(parameters)
                turns.value.keep(
                    copy, of: .init(conversation: "conversation-\(number)", authorization: "Bearer key"),
                    prompt: fingerprint, expires: .distantFuture)
            }
        },
        // Each from a tenant of its own, a thousand of them waiting at any time.
        MemoryCase(name: "queue") {
            let queue = Held(AdmissionQueue<Int>(capacity: 1024))
            var waiting: [AdmissionQueue<Int>.Ticket] = []
            return { number in
                if let ticket = queue.value.arrive(number, tenant: UInt64(number), priority: number % 3) {
                    waiting.append(ticket)
                }
                if waiting.count == 1000 {
                    for ticket in waiting { _ = queue.value.leave(ticket) }
                    waiting.removeAll(keepingCapacity: true)
                }
            }
        },
    ]
}
