/// The id of one hand-off attempt: unguessable, never reused, and it tells which event loop serves the request.
///
/// LMCache keeps reservations by this id across proxies and restarts, and queues notifications while a proxy is away; a
/// counter would match another request's KV. Source: LMCache 0.5.6 `pd_backend_async.py` 1338-1360.
package struct RequestID: Sendable, Hashable, CustomStringConvertible {
    private static let loopDigits = 4
    private static let length = 36

    /// The id as it goes over the wire: four hexadecimal digits of the loop, then 128 random bits.
    package let description: String

    /// Draws a new id.
    ///
    /// - Parameter loop: index of the event loop that serves the request, 0...65535.
    package init(loop: Int, using generator: inout some RandomNumberGenerator) {
        let high = generator.next()
        let low = generator.next()
        description = String(unsafeUninitializedCapacity: Self.length) { text in
            Self.write(UInt64(UInt16(truncatingIfNeeded: loop)), to: text, 0, Self.loopDigits)
            let digits = UnsafeMutableRawBufferPointer(text)
            Self.write(high &>> 32, to: digits, Self.loopDigits)
            Self.write(high, to: digits, Self.loopDigits + 8)
            Self.write(low &>> 32, to: digits, Self.loopDigits + 16)
            Self.write(low, to: digits, Self.loopDigits + 24)
            return Self.length
        }
    }

    /// The id's last 63 bits as a number: a bootstrap room, or a request id where it must be an integer.
    package var number: Int {
        var number: UInt64 = 0
        for byte in description.utf8.suffix(16) {
            number = number << 4 | UInt64(byte > 0x39 ? byte &- 0x57 : byte &- 0x30)
        }
        return Int(number & UInt64(Int.max))
    }

    /// The loop index in an id that came over the wire; nil where the text is no id of ours.
    package static func loop(of wire: String) -> Int? {
        guard wire.utf8.count == length else { return nil }
        var loop = 0
        for byte in wire.utf8.prefix(loopDigits) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): loop = (loop << 4) | (Int(byte) - 0x30)
            case UInt8(ascii: "a")...UInt8(ascii: "f"): loop = (loop << 4) | (Int(byte) - 0x57)
            default: return nil
            }
        }
        return loop
    }

    /// The id of ours inside an engine's own, such as `cmpl-<id>-0-<8 hex>`; nil where there is none.
    ///
    /// Source: vLLM 0.33.0 `completion/serving.py` 147 and 183, `v1/engine/input_processor.py` 354-371.
    package static func find(in engineID: String) -> String? {
        var run: [UInt8] = []
        for byte in engineID.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): run.append(byte)
            default:
                if run.count == length { return String(decoding: run, as: UTF8.self) }
                run = []
            }
        }
        return run.count == length ? String(decoding: run, as: UTF8.self) : nil
    }

    /// Writes the eight hexadecimal digits of a value's lower half at once.
    @inline(__always)
    private static func write(_ value: UInt64, to text: UnsafeMutableRawBufferPointer, _ start: Int) {
        // Each digit gets a byte of its own, the first one the highest.
        var digits = value & 0xFFFF_FFFF
        digits = (digits | digits &<< 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits &<< 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits &<< 4) & 0x0F0F_0F0F_0F0F_0F0F
        // Those above 9 carry into the next half byte.
        let letters = (digits &+ 0x0606_0606_0606_0606) &>> 4 & 0x0101_0101_0101_0101
        digits = digits &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
        text.storeBytes(of: digits.bigEndian, toByteOffset: start, as: UInt64.self)
    }

    /// Fills the text from `start` to `end` with the value's last hexadecimal digits.
    private static func write(
        _ value: UInt64, to text: UnsafeMutableBufferPointer<UInt8>, _ start: Int, _ end: Int
    ) {
        var rest = value
        var index = end
        while index > start {
            index -= 1
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            text[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
            rest &>>= 4
        }
    }
}
