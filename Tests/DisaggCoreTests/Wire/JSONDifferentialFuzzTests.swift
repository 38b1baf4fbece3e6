import Testing

@testable import DisaggCore

/// Compares the scanner's blocks of sixteen bytes with the plain walk: the same end, or the same error at the same place.
@Suite("JSON scanner, compared with a plain one")
struct JSONDifferentialFuzzTests {
    private static func outcome(
        _ skip: (UnsafeRawBufferPointer, Int) throws(JSONSyntaxError) -> Int, _ bytes: UnsafeRawBufferPointer
    ) -> Result<Int, JSONSyntaxError> {
        do throws(JSONSyntaxError) {
            return .success(try skip(bytes, 0))
        } catch {
            return .failure(error)
        }
    }

    /// Whether both readers say the same of a text; records where they do not.
    private static func agree(_ text: [UInt8]) -> Bool {
        text.withUnsafeBytes { bytes in
            let found = outcome({ (a, b) throws(JSONSyntaxError) in try JSONScanner.skipValue(a, b) }, bytes)
            let plain = outcome({ (a, b) throws(JSONSyntaxError) in try PlainJSONScanner.skipValue(a, b) }, bytes)
            if found == plain { return true }
            Issue.record("\(String(decoding: text, as: UTF8.self).debugDescription): \(found), plainly \(plain)")
            return false
        }
    }

    /// A list of numbers as clients write it, now and then with a number of another kind in it.
    private static func list(using generator: inout SeededGenerator) -> [UInt8] {
        let separators = [",", ", ", " ,", ",\n", ",  "]
        let separator = separators[Int(generator.next() % 10) % 5]
        let strange = [
            "0", "-0", "-7", "01", "-01", "00", "1.5", "1.", "1e", "2e+5", "--1", "-", "+1", "", "[1,2]", "9 9",
        ]
        let numbers = (0..<generator.next() % 24).map { _ in
            generator.next() % 24 == 0
                ? strange[Int(generator.next() % 16)] : String(generator.next() >> (36 + generator.next() % 28))
        }
        return Array("[\(numbers.joined(separator: separator))]".utf8)
    }

    @Test("lists of integers, right and wrong, cut at every byte")
    func integers() {
        var generator = SeededGenerator(seed: 51)
        for iteration in 0..<Fuzzing.iterations(300) {
            var text = Self.list(using: &generator)
            if iteration % 2 == 0 { text = Fuzzing.mutated(text, using: &generator) }
            for length in 0...text.count { guard Self.agree(Array(text[..<length])) else { return } }
        }
    }

    @Test("random bytes that lists and strings consist of")
    func bytes() {
        var generator = SeededGenerator(seed: 52)
        let digits = Array("0123456789,,, -- 00".utf8)
        let text = Array("abcdefghijklmnopqrstuvwxyz\\n\\\"\"é".utf8)
        for _ in 0..<Fuzzing.iterations(8_000) {
            guard
                Self.agree(Array("[1,".utf8) + Fuzzing.bytes(digits, upTo: 64, using: &generator) + [0x5D]),
                Self.agree([0x22] + Fuzzing.bytes(text, upTo: 64, using: &generator) + [0x22])
            else { return }
        }
    }

    @Test("random objects, mutated")
    func objects() {
        var generator = SeededGenerator(seed: 53)
        for _ in 0..<Fuzzing.iterations(3_000) {
            let text = Array(RandomObject(using: &generator).text.utf8)
            guard Self.agree(text), Self.agree(Fuzzing.mutated(text, using: &generator)) else { return }
        }
    }

    @Test("a number's leading zero is found wherever it falls in a block", arguments: 0..<80)
    func leadingZeros(offset: Int) {
        let filler = String(repeating: "7", count: offset)
        for wrong in ["01", "00", "-01", " 01", "1,,2", "1,-,2", "1 2", "--1", "-"] {
            #expect(Self.agree(Array("[1,\(filler)1,\(wrong),3,4,5,6,7,8,9,10,11,12,13]".utf8)))
        }
    }

    @Test("a string's only byte that is not plain is found wherever it stands", arguments: 0..<140)
    func oddBytes(offset: Int) {
        let plain = Array(repeating: UInt8(ascii: "p"), count: 140)
        for byte in [0x00, 0x02, 0x1F, 0x20, 0x21, 0x22, 0x23, 0x5B, 0x5C, 0x5E, 0x7F, 0x80, 0xFF] as [UInt8] {
            #expect(Self.agree([0x22] + plain[..<offset] + [byte] + plain[offset...] + [0x22]))
        }
    }
}
