internal import NIOCore

/// Writes text into memory of a given size: what fits, while it counts what all of it needs.
///
/// A `ByteBuffer` asks with each write whether it owns its memory and whether there is enough, which costs more than the
/// few bytes of a JSON member. Here both are asked once for a whole text; see ``NIOCore/ByteBuffer/writeText(reserving:_:)``.
package struct TextWriter {
    private let target: UnsafeMutableRawBufferPointer
    /// Bytes of the text so far.
    private(set) var count = 0

    fileprivate init(_ target: UnsafeMutableRawBufferPointer) { self.target = target }

    fileprivate var fits: Bool { count <= target.count }

    /// Appends one byte.
    @inline(__always)
    mutating func write(_ byte: UInt8) {
        if count < target.count { target[count] = byte }
        count += 1
    }

    /// Appends bytes.
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        let end = count + bytes.count
        if end <= target.count {
            UnsafeMutableRawBufferPointer(rebasing: target[count..<end]).copyMemory(from: bytes)
        }
        count = end
    }

    /// Appends a text.
    @inline(__always)
    mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends a text.
    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a buffer's readable bytes.
    mutating func write(_ buffer: ByteBuffer) { buffer.withUnsafeReadableBytes { write($0) } }

    /// Appends an integer in decimal digits.
    mutating func writeDecimal(_ value: Int) {
        // 20 bytes hold the sign and the digits of every `Int`.
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var rest = value.magnitude
            var start = digits.count
            repeat {
                start -= 1
                digits[start] = UInt8(truncatingIfNeeded: rest % 10) | 0x30
                rest /= 10
            } while rest > 0
            if value < 0 {
                start -= 1
                digits[start] = UInt8(ascii: "-")
            }
            write(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }

    /// Appends integers as a JSON array.
    mutating func writeJSON(_ values: [Int]) {
        write(UInt8(ascii: "["))
        for index in values.indices {
            if index > 0 { write(UInt8(ascii: ",")) }
            writeDecimal(values[index])
        }
        write(UInt8(ascii: "]"))
    }

    /// Appends a string as JSON text.
    mutating func writeJSON(_ string: String) {
        write(UInt8(ascii: "\""))
        JSONString.forEachEscapedRun(string) { write($0) }
        write(UInt8(ascii: "\""))
    }
}

extension ByteBuffer {
    /// A text in a buffer of its own.
    ///
    /// - Parameters:
    ///   - capacity: about as many bytes as the text has.
    ///   - write: writes the text; called again where it has more.
    @inline(__always)
    static func text(reserving capacity: Int, _ write: (inout TextWriter) -> Void) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: capacity)
        buffer.writeText(reserving: capacity, write)
        return buffer
    }

    /// Appends a text.
    ///
    /// - Parameters:
    ///   - capacity: about as many bytes as the text has.
    ///   - write: writes the text; called again where it has more.
    @inline(__always)
    mutating func writeText(reserving capacity: Int, _ write: (inout TextWriter) -> Void) {
        var needed = capacity
        var isWritten = false
        repeat {
            writeWithUnsafeMutableBytes(minimumWritableBytes: needed) { target in
                var writer = TextWriter(target)
                write(&writer)
                needed = writer.count
                isWritten = writer.fits
                return isWritten ? needed : 0
            }
        } while !isWritten
    }
}
