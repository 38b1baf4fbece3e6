import NIOCore
import Testing

@testable import DisaggCore

/// What decoders are known to have of a prompt.
@Suite("Decoder prefixes")
struct DecoderPrefixesTests {
    private let pool = BackendPool(
        prefill: [], decode: (0..<2).map { Backend(id: "decode-\($0)", role: .decode, host: "h", port: 1 + $0) })

    private func cached(
        _ prefixes: DecoderPrefixes, _ body: String, _ facts: RequestFacts, at decode: Int = 0
    ) throws -> Int {
        prefixes.cachedTokens(
            of: try GenerationRequest(endpoint: .completions, body: ByteBuffer(string: body)), facts,
            on: pool.decode[decode], in: pool, bytesPerToken: 4, at: .now())
    }

    @Test("a decoder that reports its blocks is believed, and another one has nothing")
    func events() throws {
        let policy = KVEventsPolicy()
        var blocks = KVStoredBlocks()
        (blocks.hashes, blocks.tokens, blocks.blockSize) = ([11, 12], Array(1...8), 4)
        policy.events.apply([.stored(blocks)], serial: pool.decode[0].meter.serial)
        let prefixes = DecoderPrefixes(PrefixCacheSettings(), events: policy, guesses: false)
        #expect(prefixes.needs == [.tokenIDs])
        var facts = RequestFacts()
        facts.tokenIDs = Array(1...10)
        let body = #"{"prompt":[1,2,3,4,5,6,7,8,9,10]}"#
        #expect(try cached(prefixes, body, facts) == 8)
        #expect(try cached(prefixes, body, facts, at: 1) == 0)
        facts.tokenIDs = Array(2...11)
        #expect(try cached(prefixes, body, facts) == 0)
    }

    @Test("else it has what it answered, as a part of the prompt's own length")
    func guesses() throws {
        let prefixes = DecoderPrefixes(PrefixCacheSettings(), events: nil, guesses: true)
        let text = String(repeating: "x", count: 1024)
        let body = #"{"prompt":"\#(text)"}"#
        var facts = RequestFacts()
        Array(#""\#(text)""#.utf8).withUnsafeBytes {
            PrefixBlocks.appendKeys(of: $0, namespace: 0, to: &facts.prefixKeys)
        }
        #expect(facts.prefixKeys.count == 4)
        #expect(try cached(prefixes, body, facts) == 0)
        prefixes.note(Array(facts.prefixKeys.prefix(2)), on: pool.decode[0], at: .now())
        // 512 of 1026 bytes are known, of 257 tokens.
        #expect(try cached(prefixes, body, facts) == 128)
        #expect(try cached(prefixes, body, facts, at: 1) == 0)
        // Ids of two bytes each: half of the bytes are half of the tokens.
        let ids = "{\"prompt\":[" + Array(repeating: "7", count: 512).joined(separator: ",") + "]}"
        #expect(try cached(prefixes, ids, facts) == 255)
    }
}
