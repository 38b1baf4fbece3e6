import Testing

@testable import DisaggCore

@Suite("Request id's digits")
struct RequestIDDigitsTests {
    /// Gives the words it was made of, one after another.
    private struct Words: RandomNumberGenerator {
        var words: [UInt64]
        mutating func next() -> UInt64 { words.removeFirst() }
    }

    @Test(
        "are those of the loop and of both random words, in order",
        arguments: [
            (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210), (0, .max), (.max, 0),
            (0x9A9A_A9A9_0909_F0F0, 0x1020_3040_A0B0_C0D0),
        ] as [(UInt64, UInt64)])
    func digits(high: UInt64, low: UInt64) {
        func padded(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        var generator = Words(words: [high, low])
        let id = RequestID(loop: 0xA0F, using: &generator)
        #expect(id.description == "0a0f" + padded(high) + padded(low))
        #expect(RequestID.loop(of: id.description) == 0xA0F && id.number == Int(low & UInt64(Int.max)))
    }
}
