/// Tests of sixteen bytes at once, and of eight, for the readers of this room.
///
/// Offsets are those of the text; each function says what its caller has made sure of, for nothing is checked twice.
enum ByteBlock {
    typealias Lanes = SIMD16<UInt8>
    typealias Mask = SIMDMask<SIMD16<Int8>>

    /// Bytes of a block.
    static let count = 16

    /// The block at `offset`; all of it must be in the text.
    @inline(__always)
    static func load(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Lanes {
        bytes.loadUnaligned(fromByteOffset: offset, as: Lanes.self)
    }

    // The operators that take one byte for all lanes are not vectorised by Swift 6.3.

    /// The lanes that hold a byte.
    @inline(__always)
    static func equal(_ lanes: Lanes, _ byte: UInt8) -> Mask { lanes .== Lanes(repeating: byte) }

    /// The lanes that hold less than a byte.
    @inline(__always)
    static func below(_ lanes: Lanes, _ byte: UInt8) -> Mask { lanes .< Lanes(repeating: byte) }

    /// The lanes that hold decimal digits.
    @inline(__always)
    static func digits(_ lanes: Lanes) -> Mask { below(lanes &- Lanes(repeating: 0x30), 10) }

    /// The first lane that is set, 16 where none is.
    @inline(__always)
    static func first(_ mask: Mask) -> Int {
        let ones = Lanes(repeating: 0).replacing(with: 0xFF, where: mask)
        let (low, high) = withUnsafeBytes(of: ones) {
            (
                UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)),
                UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        if low != 0 { return low.trailingZeroBitCount &>> 3 }
        return high != 0 ? 8 &+ high.trailingZeroBitCount &>> 3 : 16
    }

    /// Whether a lane is set.
    @inline(__always)
    static func isAny(_ mask: Mask) -> Bool {
        let ones = Lanes(repeating: 0).replacing(with: 0xFF, where: mask)
        return withUnsafeBytes(of: ones) {
            $0.loadUnaligned(as: UInt64.self) | $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        } != 0
    }

    /// Offset of the first `byte` at `start` or behind it, the text's length where there is none.
    @inline(__always)
    static func firstIndex(of byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index &+ count <= bytes.count {
            let lane = first(equal(load(bytes, index), byte))
            index &+= lane
            if lane < count { return index }
        }
        while index < bytes.count, bytes[index] != byte { index &+= 1 }
        return index
    }

    /// Whether `text` stands at `offset`; that many bytes must be in the text.
    @inline(__always)
    static func isEqual(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        let expected = UnsafeRawPointer(text.utf8Start)
        var index = 0
        while index &+ 8 <= length {
            let left = bytes.loadUnaligned(fromByteOffset: offset &+ index, as: UInt64.self)
            if left != expected.loadUnaligned(fromByteOffset: index, as: UInt64.self) { return false }
            index &+= 8
        }
        while index < length {
            if bytes[offset &+ index] != text.utf8Start[index] { return false }
            index &+= 1
        }
        return true
    }
}
