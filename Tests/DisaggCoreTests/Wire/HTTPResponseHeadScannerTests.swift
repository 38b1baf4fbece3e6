import Testing

@testable import DisaggCore

@Suite("HTTP response head scanner")
struct HTTPResponseHeadScannerTests {
    static func scan(_ text: String) -> HTTPResponseHeadScanner.Outcome {
        Array(text.utf8).withUnsafeBytes { HTTPResponseHeadScanner.scan($0) }
    }

    static func head(_ text: String) -> ScannedResponseHead? {
        if case .head(let head) = scan(text) { return head }
        return nil
    }

    @Test(
        "finds status, framing and keep-alive",
        arguments: [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 200, BodyFraming.length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length:5\r\nCONTENT-LENGTH: 5 \r\n\r\n", 200, .length(5), true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200, .chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\tChunked\t\r\n\r\n", 200, .chunked, true),
            ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, .length(0), true),
            ("HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", 200, .length(0), true),
            ("HTTP/1.1 500 Internal Server Error\r\n\r\n", 500, .untilClose, false),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, .none, true),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n", 304, .none, true),
            ("HTTP/1.1 100 Continue\r\n\r\n", 100, .none, true),
            ("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", 103, .none, true),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n", 200, .length(1), false),
            ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 1\r\n\r\n", 200, .length(1), true),
            ("HTTP/1.0 200 OK\r\n\r\n", 200, .untilClose, false),
            ("HTTP/1.1 200 OK\r\nconnection: foo , Close\r\ncontent-length: 1\r\n\r\n", 200, .length(1), false),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n", 200,
                .length(1), false
            ),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n", 200, .chunked, false),
        ])
    func wellFormed(text: String, status: Int, framing: BodyFraming, keepAlive: Bool) throws {
        let head = try #require(Self.head(text))
        #expect(head.status == status)
        #expect(head.framing == framing)
        #expect(head.keepAlive == keepAlive)
        #expect(head.length == text.utf8.count)
        #expect(Self.head(text + "HTTP/1.1 junk")?.length == text.utf8.count)
    }

    @Test("asks for more at every byte before the end of the head")
    func everyPrefix() {
        let text = "HTTP/1.1 200 OK\r\nServer: uvicorn\r\ncontent-length: 5\r\n\r\n"
        let bytes = Array(text.utf8)
        for count in 0..<bytes.count {
            #expect(
                bytes.prefix(count).withUnsafeBytes { HTTPResponseHeadScanner.scan($0) } == .needsMore, "\(count) bytes"
            )
        }
    }

    @Test("gives names and values without the space around them")
    func fields() throws {
        let text = "HTTP/1.1 200 OK\r\na:1\r\nb: \t2 3\t \r\nc:\r\nd: x:y\r\n\r\n"
        let bytes = Array(text.utf8)
        let head = try #require(Self.head(text))
        func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        #expect(head.fields.map { string($0.name) } == ["a", "b", "c", "d"])
        #expect(head.fields.map { string($0.value) } == ["1", "2 3", "", "x:y"])
    }

    @Test(
        "refuses what could be read in two ways",
        arguments: [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: 1\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\n", "HTTP/1.1 200 OK\r\n: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\na: \u{0}\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", "HTTP/1.1 200 OK\r\na(b): c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \u{7f}\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n", "HTTP/1.1 200 OK\r\nä: b\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n", "HTTP/1.x 200 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 \r\n\r\n", "http/1.1 200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "\r\n\r\n", "garbage",
        ])
    func malformed(text: String) {
        guard case .malformed = Self.scan(text) else {
            Issue.record("\(Self.scan(text))")
            return
        }
    }

    @Test("line feeds alone are refused at once instead of waited on")
    func lineFeedsAlone() {
        guard case .malformed = Self.scan("HTTP/1.1 200 OK\ncontent-length: 2\n\nhi") else {
            Issue.record("not refused")
            return
        }
    }

    @Test("bounds the head, complete or not, and not the body behind it")
    func hugeHeads() {
        let limit = HTTPResponseHeadScanner.maximumHeadBytes
        let start = "HTTP/1.1 200 OK\r\na: "
        func filled(to count: Int) -> String {
            start + String(repeating: "x", count: count - start.utf8.count - 4) + "\r\n\r\n"
        }
        #expect(Self.head(filled(to: limit))?.length == limit)
        #expect(Self.head(filled(to: limit) + String(repeating: "y", count: limit))?.length == limit)
        guard case .malformed = Self.scan(filled(to: limit + 1)) else {
            Issue.record("one byte too many was accepted")
            return
        }
        guard case .malformed = Self.scan(start + String(repeating: "x", count: limit)) else {
            Issue.record("an endless head was accepted")
            return
        }
    }
}

@Suite("HTTP response head scanner, fuzzed")
struct HTTPResponseHeadScannerFuzzTests {
    @Test("mutated heads and random bytes never trap, and every range lies inside of the head")
    func neverTraps() {
        var generator = SeededGenerator(seed: 21)
        let seeds = [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close, x\r\n\r\nhello",
            "HTTP/1.0 204\r\na:\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ].map { Array($0.utf8) }
        for iteration in 0..<Fuzzing.iterations(12_000) {
            let bytes =
                iteration % 4 == 0
                ? Array("HTTP/1.".utf8) + Fuzzing.bytes(Array("1 20:\r\n\r\na,".utf8), upTo: 40, using: &generator)
                : Fuzzing.mutated(seeds[iteration % seeds.count], using: &generator)
            guard case .head(let head) = bytes.withUnsafeBytes({ HTTPResponseHeadScanner.scan($0) }) else { continue }
            let inside = head.fields.allSatisfy { field in
                field.name.upperBound < head.length && field.value.upperBound <= head.length - 2
                    && !bytes[field.value].contains { $0 == 13 || $0 == 10 || $0 == 0 }
            }
            if head.length > bytes.count || !inside {
                Issue.record("\(String(decoding: bytes, as: UTF8.self)): \(head)")
                return
            }
        }
    }
}
