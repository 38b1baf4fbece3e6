/// A fast 64-bit hash with a seed, equal on every machine and in every run; not for untrusted keys of a dictionary.
///
/// Sixteen bytes at a time are multiplied to 128 bits and folded, as in wyhash and Swift's own mixing of hash values. A
/// multiplication waits for the one before it, so long texts are taken in four lanes that do not wait for each other.
package enum StableHash {
    private static let first: UInt64 = 0xA076_1D64_78BD_642F
    private static let second: UInt64 = 0xE703_7ED1_A0B4_28DB
    private static let laneSeeds: (UInt64, UInt64, UInt64) = (
        0x8EBC_6AF0_9C88_C6E3, 0x5899_65CC_7537_4CC3, 0x1D8E_4E27_C47D_124F
    )
    private static let laneBytes = 64

    /// Mixes two words.
    @inline(__always)
    package static func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = (left ^ first).multipliedFullWidth(by: right ^ second)
        return product.high ^ product.low
    }

    /// The hash of bytes.
    package static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
        var state = mix(seed, UInt64(truncatingIfNeeded: bytes.count))
        var offset = 0
        if bytes.count >= laneBytes {
            var (two, three, four) = (state ^ laneSeeds.0, state ^ laneSeeds.1, state ^ laneSeeds.2)
            while offset &+ laneBytes <= bytes.count {
                state = mix(word(bytes, offset), word(bytes, offset &+ 8) ^ state)
                two = mix(word(bytes, offset &+ 16), word(bytes, offset &+ 24) ^ two)
                three = mix(word(bytes, offset &+ 32), word(bytes, offset &+ 40) ^ three)
                four = mix(word(bytes, offset &+ 48), word(bytes, offset &+ 56) ^ four)
                offset &+= laneBytes
            }
            state = mix(mix(state, two), mix(three, four))
        }
        while offset &+ 8 <= bytes.count {
            state = mix(state, word(bytes, offset))
            offset &+= 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest &<< 8 | UInt64(bytes[offset])
            offset &+= 1
        }
        return mix(state, rest)
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The hash of a text's bytes.
    package static func hash(_ text: some StringProtocol, seed: UInt64 = 0) -> UInt64 {
        var copy = String(text)
        return copy.withUTF8 { hash(UnsafeRawBufferPointer($0), seed: seed) }
    }
}
