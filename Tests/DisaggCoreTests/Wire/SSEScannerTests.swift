import Testing

@testable import DisaggCore

@Suite("SSE scanner")
struct SSEScannerTests {
    static func events(_ pieces: [[UInt8]]) -> [String] {
        var scanner = SSEScanner()
        var events: [String] = []
        for piece in pieces {
            _ = piece.withUnsafeBytes { scanner.feed($0) { events.append(String(decoding: $0, as: UTF8.self)) } }
        }
        return events
    }

    @Test(
        "finds the same events wherever the stream is split",
        arguments: [
            ("data: a\n\ndata: b\n\n", ["a", "b"]), ("data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
            ("data: a\ndata: b\n\n", ["a\nb"]), ("data: a\r\ndata: b\r\n\r\n", ["a\nb"]), ("data:a\n\n", ["a"]),
            ("data:  a\n\n", [" a"]), (": ping\n\ndata: a\n\n", ["a"]),
            ("event: x\nid: 1\ndata: a\nretry: 5\n\n", ["a"]),
            ("\n\ndata: a\n\n\n\ndata: b\n\n", ["a", "b"]), ("\r\n\r\ndata: a\r\n\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
            ("data: a\n\r\ndata: b\r\n\n", ["a", "b"]), ("data:\n\n", [""]), ("data\n\n", []), ("data: cut", []),
            ("data: cut\n", []), ("data: é😀\n\ndata: [DONE]\n\n", ["é😀", "[DONE]"]), ("data: a\rb\n\n", ["a\rb"]),
        ])
    func splits(text: String, expected: [String]) {
        let bytes = Array(text.utf8)
        #expect(Self.events([bytes]) == expected)
        for index in 0...bytes.count {
            #expect(Self.events([Array(bytes[..<index]), Array(bytes[index...])]) == expected, "split at \(index)")
        }
        #expect(Self.events(bytes.map { [$0] }) == expected)
    }

    @Test("says so where an event grows beyond the limit")
    func boundsEvents() {
        var scanner = SSEScanner()
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        var accepted = 0
        while accepted < 32, piece.withUnsafeBytes({ scanner.feed($0) { _ in } }) { accepted += 1 }
        #expect(accepted == SSEScanner.maximumEventBytes >> 20)
    }
}

@Suite("SSE scanner, fuzzed")
struct SSEScannerFuzzTests {
    /// The events of a whole stream, line by line.
    private static func plainEvents(_ stream: [UInt8]) -> [String] {
        var events: [String] = []
        var data: [[UInt8]] = []
        for var line in stream.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast() {
            if line.last == 0x0D { line.removeLast() }
            if line.isEmpty {
                if !data.isEmpty {
                    events.append(String(decoding: Array(data.joined(separator: [0x0A])), as: UTF8.self))
                }
                data = []
            } else if line.starts(with: Array("data:".utf8)) {
                data.append(Array(line.dropFirst(line.dropFirst(5).first == 0x20 ? 6 : 5)))
            }
        }
        return events
    }

    @Test("random lines, mutated: the events of a plain reader, in whatever pieces they come")
    func equalsPlainReader() {
        var generator = SeededGenerator(seed: 32)
        let lines = [
            "data: {\"text\":\" a token of a stream\"}", "data:", "data: ", ": ping", "event: x", "data", "", "\r",
            "id",
        ]
        for _ in 0..<Fuzzing.iterations(1_500) {
            var text = ""
            for _ in 0..<generator.next() % 12 {
                text += lines[Int(generator.next() % UInt64(lines.count))]
                text += ["\n", "\n\n", "\r\n", "\r\n\r\n"][Int(generator.next() % 4)]
            }
            var bytes = Array(text.utf8)
            if generator.next() % 2 == 0 { bytes = Fuzzing.mutated(bytes, using: &generator) }
            let plain = Self.plainEvents(bytes)
            var pieces: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                pieces.append(Array(rest.prefix(1 + Int(generator.next() % 60))))
                rest = rest.dropFirst(pieces.last?.count ?? 1)
            }
            let found = SSEScannerTests.events(pieces)
            if found != plain || SSEScannerTests.events([bytes]) != plain {
                Issue.record("\(String(decoding: bytes, as: UTF8.self).debugDescription): \(found), plainly \(plain)")
                return
            }
        }
    }

    @Test("random bytes never trap, and the events do not depend on how they were split")
    func randomBytes() {
        var generator = SeededGenerator(seed: 31)
        let alphabet = Array("data: \n\r\n\nx:".utf8)
        for _ in 0..<Fuzzing.iterations(15_000) {
            var bytes = Fuzzing.bytes(alphabet, upTo: 24, using: &generator)
            if generator.next() % 2 == 0 { bytes = Array("data:1\r\n\r\n".utf8) + bytes + Array("data:2\n\n".utf8) }
            let whole = SSEScannerTests.events([bytes])
            let index = bytes.isEmpty ? 0 : Int(generator.next() % UInt64(bytes.count))
            let split = SSEScannerTests.events([Array(bytes[..<index]), Array(bytes[index...])])
            if whole != split || SSEScannerTests.events(bytes.map { [$0] }) != whole {
                Issue.record("\(String(decoding: bytes, as: UTF8.self).debugDescription): \(whole) or \(split)")
                return
            }
        }
    }
}
