import Testing

@testable import DisaggCore

/// A body fed in pieces, as a connection feeds it.
struct ScannedChunks: Equatable {
    var payload: [UInt8] = []
    var outcome = ChunkScanner.Outcome.needsMore
    /// Bytes of the body up to its end.
    var consumed = 0
    /// Bytes up to the last place where no event is cut.
    var boundary = 0

    init(_ pieces: [[UInt8]]) {
        var scanner = ChunkScanner()
        for piece in pieces {
            var taken: [UInt8] = []
            outcome = piece.withUnsafeBytes { bytes in
                scanner.scan(bytes) { taken.append(contentsOf: bytes[$0]) }
            }
            payload += taken
            if scanner.eventBoundary > 0 { boundary = consumed + scanner.eventBoundary }
            if case .complete(let count) = outcome {
                consumed += count
                outcome = .complete(consumed: consumed)
                return
            }
            if outcome == .malformed { return }
            consumed += piece.count
        }
    }

    init(_ text: String) { self.init([Array(text.utf8)]) }

    /// The body in two pieces.
    init(_ bytes: [UInt8], splitAt index: Int) { self.init([Array(bytes[..<index]), Array(bytes[index...])]) }
}

@Suite("Chunk scanner")
struct ChunkScannerTests {
    @Test(
        "finds payload and end of well-formed bodies, split at any byte",
        arguments: [
            ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("A\r\n0123456789\r\n000\r\n\r\n", "0123456789"),
            ("1\r\na\r\n1\r\nb\r\n1;x=\"y\"\r\nc\r\n0\r\n\r\n", "abc"), ("3 \t\r\n\r\n\n\r\n0\r\n\r\n", "\r\n\n"),
            ("2\r\nok\r\n0;last\r\nx-trailer: 1\r\ny: 2\r\n\r\n", "ok"),
            ("a\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n0\r\n\r\n"),
        ])
    func wellFormed(body: String, payload: String) {
        let bytes = Array(body.utf8)
        let whole = ScannedChunks([bytes])
        #expect(whole.outcome == .complete(consumed: bytes.count))
        #expect(whole.payload == Array(payload.utf8))
        for index in 0...bytes.count { #expect(ScannedChunks(bytes, splitAt: index) == whole, "split at \(index)") }
        #expect(ScannedChunks(bytes.map { [$0] }) == whole)
    }

    @Test("leaves the bytes after the body alone")
    func leavesTheRest() {
        let body = "1\r\na\r\n0\r\n\r\n"
        #expect(ScannedChunks(body + "HTTP/1.1 200 OK\r\n").outcome == .complete(consumed: body.utf8.count))
    }

    @Test(
        "refuses broken framing, split at any byte",
        arguments: [
            "\r\n", "x\r\n", "-1\r\n", "+1\r\na", "0x1\r\na\r\n", "1\na", "1\r\nab\r\n", "1\r\na\n0\r\n\r\n",
            "1\r\na\rx",
            "0\r\n\n", "0\n\n", "0\r\nx: 1\n\n", "0\r\nx: 1\rx", "1;a\nb\r\n", "10000000000000000\r\n",
            "fffffffffffffffff\r\n",
            "0\r\n\rx", " 1\r\na\r\n", ";\r\n",
        ])
    func malformed(body: String) {
        let bytes = Array(body.utf8)
        #expect(ScannedChunks([bytes]).outcome == .malformed)
        for index in 0...bytes.count { #expect(ScannedChunks(bytes, splitAt: index).outcome == .malformed) }
    }

    @Test("an endless chunk extension or trailer is broken framing, not memory")
    func boundsOverhead() {
        let noise = String(repeating: "x", count: 20_000)
        #expect(ScannedChunks("1;\(noise)").outcome == .malformed)
        #expect(ScannedChunks("0\r\n\(noise)").outcome == .malformed)
    }

    @Test("extensions on every chunk of a long stream do not add up to broken framing")
    func manyExtensions() {
        let body = String(repeating: "1;chunk-signature=0123456789abcdef\r\na\r\n", count: 2_000) + "0\r\n\r\n"
        let scanned = ScannedChunks(body)
        #expect(scanned.outcome == .complete(consumed: body.utf8.count))
        #expect(scanned.payload.count == 2_000)
    }

    @Test(
        "an event boundary stands behind each chunk that ends an event",
        arguments: [
            ("9\r\ndata: a\n\n\r\n", 14), ("8\r\ndata: a\n\r\n", 0), ("8\r\ndata: a\n\r\n1\r\n\n\r\n", 19),
            ("9\r\ndata: a\n\n\r\n5\r\ndata:\r\n", 14), ("9\r\ndata: a\n\n\r", 0), ("b\r\ndata: a\r\n\r\n\r\n", 16),
            ("a\r\ndata: a\r\n\r\r\n1\r\n\n\r\n", 21), ("9\r\ndata: a\r\n\r\n", 0), ("2\r\n\r\n\r\n", 0),
            ("2\r\n\n\n\r\n", 7),
        ])
    func eventBoundaries(body: String, boundary: Int) {
        let bytes = Array(body.utf8)
        for index in 0...bytes.count {
            #expect(ScannedChunks(bytes, splitAt: index).boundary == boundary, "split at \(index)")
        }
        #expect(ScannedChunks(bytes.map { [$0] }).boundary == boundary)
    }
}

@Suite("Chunk scanner, fuzzed")
struct ChunkScannerFuzzTests {
    @Test("random events in random chunks and reads: payload, end and boundaries are right")
    func randomStreams() {
        var generator = SeededGenerator(seed: 11)
        for iteration in 0..<Fuzzing.iterations(1_500) {
            let end = generator.next() % 2 == 0 ? "\n\n" : "\r\n\r\n"
            var payload: [UInt8] = []
            var ends: Set<Int> = []
            for _ in 0...generator.next() % 6 {
                payload += Array("data: \(generator.next() % 1000)\(end)".utf8)
                ends.insert(payload.count)
            }
            var body: [UInt8] = []
            var expected = 0
            var index = 0
            while index < payload.count {
                let wholeEvents = generator.next() % 2 == 0
                let next =
                    wholeEvents
                    ? ends.filter { $0 > index }.min() ?? payload.count
                    : min(payload.count, index + 1 + Int(generator.next() % 12))
                body += Array("\(String(next - index, radix: 16))\r\n".utf8) + payload[index..<next] + [13, 10]
                index = next
                if ends.contains(index) { expected = body.count }
            }
            var pieces: [[UInt8]] = []
            var rest = body[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + Int(generator.next() % 40))
                pieces.append(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            let scanned = ScannedChunks(pieces)
            let isRight = scanned.payload == payload && scanned.boundary == expected && scanned.outcome == .needsMore
            #expect(isRight, "iteration \(iteration): \(String(decoding: body, as: UTF8.self))")
            if !isRight { return }
        }
    }

    @Test("random bytes never trap, and the outcome does not depend on how they were split")
    func randomBytes() {
        var generator = SeededGenerator(seed: 12)
        let alphabet = Array("0123aF\r\n\r\n;x \n".utf8)
        for _ in 0..<Fuzzing.iterations(40_000) {
            let bytes = Fuzzing.bytes(alphabet, upTo: 24, using: &generator)
            let whole = ScannedChunks([bytes])
            let split = ScannedChunks(bytes, splitAt: bytes.isEmpty ? 0 : Int(generator.next() % UInt64(bytes.count)))
            if whole.outcome != split.outcome || whole.payload != split.payload {
                Issue.record("\(bytes): \(whole) or \(split)")
                return
            }
        }
    }

    @Test("chunks as engines write them, some mutated: whole, cut anywhere or byte by byte makes no difference")
    func wholeChunks() {
        var generator = SeededGenerator(seed: 13)
        let payloads = [
            "data: {}\n\n", "data: {\"text\":\" a\"}\r\n\r\n", "data", ": ping\n", "\n", "x", "\n\n", "ab\n",
        ]
        for iteration in 0..<Fuzzing.iterations(300) {
            var text = ""
            for _ in 0..<1 + generator.next() % 5 {
                let payload = payloads[Int(generator.next() % UInt64(payloads.count))]
                let size = String(payload.utf8.count, radix: 16, uppercase: generator.next() % 2 == 0)
                text += ["", "", "0", "00000000"][Int(generator.next() % 4)] + size
                text += ["\r\n", "\r\n", "\r\n", ";x\r\n"][Int(generator.next() % 4)] + payload + "\r\n"
            }
            if generator.next() % 2 == 0 { text += "0\r\n\r\n" }
            var bytes = Array(text.utf8)
            if iteration % 2 == 0 { bytes = Fuzzing.mutated(bytes, using: &generator) }
            // One byte is never a whole chunk: this is the plain way.
            let plain = ScannedChunks(bytes.map { [$0] })
            for index in 0...bytes.count {
                let split = ScannedChunks(bytes, splitAt: index)
                if split.outcome != plain.outcome || split.payload != plain.payload
                    || split.boundary != plain.boundary && plain.outcome == .needsMore
                {
                    Issue.record("\(text.debugDescription) split at \(index): \(split), plainly \(plain)")
                    return
                }
            }
        }
    }
}
