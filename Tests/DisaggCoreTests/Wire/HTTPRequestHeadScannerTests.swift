import Testing

@testable import DisaggCore

@Suite("HTTP request head scanner")
struct HTTPRequestHeadScannerTests {
    static let limit = 64 << 10

    static func scan(
        _ bytes: some Sequence<UInt8>, limit: Int = limit, searchedFrom: Int = 0
    ) -> HTTPRequestHeadScanner.Outcome {
        Array(bytes).withUnsafeBytes { HTTPRequestHeadScanner.scan($0, limit: limit, searchedFrom: searchedFrom) }
    }

    static func scan(_ text: String, limit: Int = limit) -> HTTPRequestHeadScanner.Outcome {
        scan(text.utf8, limit: limit)
    }

    static func head(_ text: String, limit: Int = limit) -> ScannedRequestHead? {
        if case .head(let head) = scan(text, limit: limit) { return head }
        return nil
    }

    static func string(_ text: String, _ range: Range<Int>) -> String {
        String(decoding: Array(text.utf8)[range], as: UTF8.self)
    }

    /// The answers while bytes come in pieces, each told what the one before it had searched, up to the final one.
    static func answers(_ bytes: [UInt8], limit: Int = limit, step: Int = 1) -> [HTTPRequestHeadScanner.Outcome] {
        var answers: [HTTPRequestHeadScanner.Outcome] = []
        var known = 0
        while known < bytes.count {
            let count = min(known + step, bytes.count)
            let answer = scan(bytes[..<count], limit: limit, searchedFrom: known)
            answers.append(answer)
            guard answer == .needsMore else { break }
            known = count
        }
        return answers
    }

    static let heads = [
        "GET /health HTTP/1.1\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 51\r\n\r\n",
        "POST /v1/chat/completions?api-version=1 HTTP/1.1\r\nhost:x:8000\r\ntransfer-encoding: chunked\r\n"
            + "User-Agent: OpenAI/Python 1.99.1\r\nAuthorization: Bearer sk-0123456789abcdefghij\r\nx: \t\r\n\r\n",
        "\r\n\r\nPOST http://a.test/v1/completions HTTP/1.0\r\nConnection: foo, Keep-Alive\r\ncontent-length: 0\r\n\r\n",
        "M-SEARCH * HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n!#$%&'*+-.^_`|~9aZ: \u{e4}\u{20ac} \"()\"\r\nUpgrade: h2c\r\nConnection: close\r\n\r\n",
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    ]

    @Test("finds method, target and version")
    func requestLine() throws {
        let text = Self.heads[3]
        let head = try #require(Self.head(text))
        #expect(Self.string(text, head.method) == "POST")
        #expect(Self.string(text, head.target) == "http://a.test/v1/completions")
        #expect(head.minorVersion == 0)
        #expect(head.length == text.utf8.count)
        #expect(head.fields.map { Self.string(text, $0.name) } == ["Connection", "content-length"])
        #expect(head.fields.map { Self.string(text, $0.value) } == ["foo, Keep-Alive", "0"])
    }

    @Test(
        "finds the framing of the body",
        arguments: [
            ("GET / HTTP/1.1\r\n", RequestFraming.none), ("POST / HTTP/1.1\r\n", .none),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n", .length(5)),
            ("POST / HTTP/1.0\r\nCONTENT-LENGTH:  0 \r\n", .length(0)),
            ("POST / HTTP/1.1\r\nContent-Length: 007\r\n", .length(7)),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\na: b\r\ncontent-length: 5\r\n", .length(5)),
            ("POST / HTTP/1.1\r\nContent-Length: 999999999999999\r\n", .length(999_999_999_999_999)),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", .chunked),
            ("POST / HTTP/1.1\r\ntransfer-encoding:  Chunked \r\n", .chunked),
            ("POST / HTTP/1.1\r\nxransfer-encoding: gzip\r\nContent-Lengt: x\r\n", .none),
        ])
    func framing(lines: String, framing: RequestFraming) {
        #expect(Self.head(lines + "\r\n")?.framing == framing)
    }

    @Test(
        "knows whether the connection goes on",
        arguments: [
            ("GET / HTTP/1.1\r\n", true), ("GET / HTTP/1.0\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: close\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: x,\tCLOSE ,y\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: closed\r\n", true), ("GET / HTTP/1.1\r\nConnection:\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", false),
            ("CONNECT a:1 HTTP/1.1\r\nConnection: keep-alive\r\n", false),
            ("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", false),
            ("GET / HTTP/1.1\r\nUpgrade: h2c\r\n", false),
        ])
    func keepAlive(lines: String, keepAlive: Bool) {
        #expect(Self.head(lines + "\r\n")?.keepAlive == keepAlive)
    }

    @Test(
        "knows whether the client waits for 100 Continue",
        arguments: [
            ("HTTP/1.1\r\nExpect: 100-continue\r\n", true), ("HTTP/1.1\r\nEXPECT:100-Continue\r\n", true),
            ("HTTP/1.0\r\nExpect: 100-continue\r\n", false), ("HTTP/1.1\r\nExpect: 100\r\n", false),
            ("HTTP/1.1\r\n", false),
        ])
    func expects(rest: String, expects: Bool) {
        #expect(Self.head("POST / \(rest)\r\n")?.expectsContinue == expects)
    }

    @Test("what follows the head is not looked at")
    func bytesBehind() {
        for text in Self.heads {
            for rest in ["\u{0}", "\n", "GET", "\r\n", String(repeating: "x", count: Self.limit)] {
                #expect(Self.scan(text + rest) == Self.scan(text))
            }
        }
    }

    @Test("every cut of a head asks for more until its last byte, told or not told what was searched before")
    func everyCut() throws {
        for text in Self.heads {
            let bytes = Array(text.utf8)
            let head = try #require(Self.head(text), "\(text.debugDescription)")
            #expect(head.length == bytes.count)
            for count in 0..<bytes.count {
                #expect(Self.scan(bytes[..<count]) == .needsMore, "\(text.debugDescription) cut at \(count)")
                #expect(Self.scan(bytes, searchedFrom: count) == .head(head))
            }
            for step in 1..<bytes.count {
                let answers = Self.answers(bytes, step: step)
                #expect(answers.dropLast().allSatisfy { $0 == .needsMore } && answers.last == .head(head))
            }
        }
    }

    static let starts = "GET / HTTP/1.1\r\n"
    static let refused: [(String, String)] = [
        // The request line.
        ("rubbish\r\n\r\n", "its first line has no target and no version"),
        ("GET \r\n\r\n", "its first line has no target and no version"),
        ("GET /health\r\n\r\n", "its first line has no version"),
        ("GET  / HTTP/1.1\r\n\r\n", "more than one space behind its method"),
        ("GET /  HTTP/1.1\r\n\r\n", "its first line is not a method, a target and a version"),
        ("GET /he alth HTTP/1.1\r\n\r\n", "its first line is not a method, a target and a version"),
        ("GET / http/1.1\r\n\r\n", "its first line is not a method, a target and a version"),
        ("GET / \r\n\r\n", "its first line is not a method, a target and a version"),
        ("GET / HTTP/1.1 \r\n\r\n", "something behind the version in its first line"),
        ("GET / HTTP/1.10\r\n\r\n", "something behind the version in its first line"),
        ("GET / HTTP/9.9\r\n\r\n", "its version is neither HTTP/1.0 nor HTTP/1.1"),
        ("GET / HTTP/1.2\r\n\r\n", "its version is neither HTTP/1.0 nor HTTP/1.1"),
        ("GET / HTTP/1\r\n\r\n", "its version is neither HTTP/1.0 nor HTTP/1.1"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "it begins like HTTP/2"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}", "it begins with a TLS handshake"),
        (" GET / HTTP/1.1\r\n\r\n", "it does not begin with a method"),
        ("GET\t/ HTTP/1.1\r\n\r\n", "it does not begin with a method"),
        ("{\"a\": 1}", "it does not begin with a method"),
        ("G\u{e4}T / HTTP/1.1\r\n\r\n", "it does not begin with a method"),
        ("\u{0}", "it does not begin with a method"),
        (String(repeating: "M", count: 33) + " / HTTP/1.1\r\n\r\n", "its method is longer than 32 bytes"),
        ("GET /\u{e4} HTTP/1.1\r\n\r\n", "a character in its target that must be percent-encoded"),
        ("GET /\u{7f} HTTP/1.1\r\n\r\n", "a character in its target that must be percent-encoded"),
        ("GET /\u{0} HTTP/1.1\r\n\r\n", "a character in its target that must be percent-encoded"),
        ("GET /\t HTTP/1.1\r\n\r\n", "a character in its target that must be percent-encoded"),
        // Line ends.
        ("GET / HTTP/1.1\n\n", "a line feed without a carriage return"),
        ("GET /\n", "a line feed without a carriage return"), ("GET\n", "a line feed without a carriage return"),
        ("\nGET / HTTP/1.1\r\n\r\n", "a line feed without a carriage return"),
        (starts + "\n", "a line feed without a carriage return"),
        (starts + "a: b\n\r\n", "a line feed without a carriage return"),
        (starts + "a\nb: c\r\n\r\n", "a line feed without a carriage return"),
        ("GET / HTTP/1.1\r\r\n\r\n", "a carriage return without a line feed"),
        ("\rGET / HTTP/1.1\r\n\r\n", "a carriage return without a line feed"),
        (starts + "a: b\rc\r\n\r\n", "a carriage return without a line feed"),
        (starts + "a: b\r\r\n\r\n", "a carriage return without a line feed"),
        (starts + "\rx\r\n", "a carriage return without a line feed"),
        (String(repeating: "\r\n", count: 5) + "GET / HTTP/1.1\r\n\r\n", "too many empty lines ahead of it"),
        // Fields.
        (starts + " folded: 1\r\n\r\n", "a folded header field"),
        (starts + "a: 1\r\n folded\r\n\r\n", "a folded header field"),
        (starts + "a: 1\r\n\tfolded\r\n\r\n", "a folded header field"),
        (starts + "Host : x\r\n\r\n", "white space in or behind a header field's name"),
        (starts + "Host\t: x\r\n\r\n", "white space in or behind a header field's name"),
        (starts + "no colon\r\n\r\n", "white space in or behind a header field's name"),
        (starts + "colon\r\n\r\n", "a header field without a colon"),
        (starts + ": x\r\n\r\n", "a header field without a name"),
        (starts + "a\u{0}: x\r\n\r\n", "a header field's name with a character that names do not have"),
        (starts + "\u{e4}: x\r\n\r\n", "a header field's name with a character that names do not have"),
        (starts + "a(b): x\r\n\r\n", "a header field's name with a character that names do not have"),
        (starts + "a: \u{0}\r\n\r\n", "a control character in a header field"),
        (starts + "a: b\u{b}c\r\n\r\n", "a control character in a header field"),
        (starts + "a: 0123456789abcdef\u{1b}[0m\r\n\r\n", "a control character in a header field"),
        (starts + "a: \u{7f}\r\n\r\n", "a control character in a header field"),
        (starts + "Host: x\r\nhost: x\r\n\r\n", "more than one Host"),
        ("GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n", "more than one Host"),
        // Framing.
        (starts + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "two Content-Length that differ"),
        (starts + "Content-Length: 5, 5\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: 5 5\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: +5\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: -5\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: 0x5\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: 5.0\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length:\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: 1000000000000000\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Transfer-Encoding: gzip, chunked\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Transfer-Encoding: chunked, chunked\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Transfer-Encoding: xchunked\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Transfer-Encoding: identity\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Transfer-Encoding: chunked;a=b\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Transfer-Encoding:\tchunked\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Transfer-Encoding: chunked\t\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (starts + "Content-Length:\t5\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Content-Length: 5\t\r\n\r\n", "a Content-Length that is no number"),
        (starts + "Transfer-Encoding:\r\n\r\n", "a Transfer-Encoding other than chunked"),
        (
            starts + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "more than one Transfer-Encoding"
        ),
        (
            starts + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "both Content-Length and Transfer-Encoding"
        ),
        (
            starts + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "both Content-Length and Transfer-Encoding"
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding in HTTP/1.0"),
    ]

    @Test("refuses what is no request or could be read in two ways, and says what is wrong", arguments: refused)
    func malformed(text: String, reason: String) {
        #expect(Self.scan(text) == .malformed(reason))
    }

    @Test("refuses at the same byte, told or not told what was searched before", arguments: refused)
    func malformedInPieces(text: String, reason: String) {
        let bytes = Array(text.utf8)
        let answers = Self.answers(bytes)
        #expect(answers.last == .malformed(reason))
        #expect(answers == (1...answers.count).map { Self.scan(bytes[..<$0]) })
        for step in 2...17 { #expect(Self.answers(bytes, step: step).last == .malformed(reason), "\(step) bytes each") }
    }

    @Test(
        "does not wait for the rest of what cannot become a request",
        arguments: [
            ("\u{16}", 1), ("{\"model\"", 1), ("SSH-2.0-OpenSSH_9.6\r\n", 20), ("EHLO mail.test\r\n", 15),
            ("PRI * HTTP/2.0\r\n", 4), ("GET / HTTP/2.0", 12), ("GET / HTTP/1.1\r\n x", 17),
            ("GET / HTTP/1.1\r\nno colon", 19),
            ("GET /\u{e4}", 6), ("GET / FTP", 7), ("*1\r\n$4\r\nPING\r\n", 3),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\nAccept", 34), ("GET / HTTP/1.1\r\na: b\u{0}", 21),
        ])
    func refusesEarly(text: String, at count: Int) {
        #expect(Self.answers(Array(text.utf8)).count == count)
        #expect(Self.answers(Array(text.utf8)).last != .needsMore)
    }

    @Test("accepts what is unusual and unambiguous")
    func unusual() {
        #expect(Self.head(String(repeating: "\r\n", count: 4) + Self.heads[0])?.length == Self.heads[0].utf8.count + 8)
        #expect(Self.head(String(repeating: "M", count: 32) + " / HTTP/1.1\r\n\r\n")?.method == 0..<32)
        for byte in UInt8.min...UInt8.max {
            let name = Self.scan(Array(Self.starts.utf8) + [byte] + Array("a: b\r\n\r\n".utf8))
            let isToken =
                Array("!#$%&'*+-.^_`|~0123456789".utf8).contains(byte) || (65...90 ~= byte) || (97...122 ~= byte)
            if case .head = name { #expect(isToken, "\(byte)") } else { #expect(!isToken, "\(byte)") }
            let value = Self.scan(Array(Self.starts.utf8) + Array("a: b".utf8) + [byte] + Array("c\r\n\r\n".utf8))
            let isText = byte == 9 || (byte >= 32 && byte != 127)
            if case .head = value { #expect(isText, "\(byte)") } else { #expect(!isText, "\(byte)") }
            let target = Self.scan(Array("GET /".utf8) + [byte] + Array("x HTTP/1.1\r\n\r\n".utf8))
            let isVisible = 0x21...0x7E ~= byte
            if case .head = target { #expect(isVisible, "\(byte)") } else { #expect(!isVisible, "\(byte)") }
        }
    }

    @Test("bounds the head, complete or not, and not what is behind it")
    func hugeHeads() {
        let limit = 1_000
        func filled(_ start: String, to count: Int) -> String {
            start + String(repeating: "x", count: count - start.utf8.count - 4) + "\r\n\r\n"
        }
        let start = Self.starts + "a: "
        #expect(Self.head(filled(start, to: limit), limit: limit)?.length == limit)
        #expect(
            Self.head(filled(start, to: limit) + String(repeating: "y", count: limit), limit: limit)?.length == limit)
        #expect(Self.scan(filled(start, to: limit + 1), limit: limit) == .tooLarge)
        for start in ["GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\na", "GET / HTTP/1.1\r\na: "] {
            let bytes = Array(filled(start, to: 2 * limit).utf8)
            #expect(Self.scan(bytes, limit: limit) == .tooLarge)
            #expect(Self.scan(bytes[..<limit], limit: limit) == .tooLarge)
            #expect(Self.scan(bytes[..<(limit - 1)], limit: limit) == .needsMore)
            #expect(Self.answers(bytes, limit: limit).count == limit)
            #expect(Self.answers(bytes, limit: limit).last == .tooLarge)
        }
        for limit in [0, -1, Int.min] { #expect(Self.scan("GET", limit: limit) == .tooLarge) }
        #expect(Self.head(Self.heads[0], limit: Int.max) != nil)
    }

    @Test("bounds the number of fields")
    func manyFields() {
        func text(_ count: Int) -> String { Self.starts + String(repeating: "a:b\r\n", count: count) + "\r\n" }
        #expect(Self.head(text(256))?.fields.count == 256)
        #expect(Self.scan(text(257)) == .tooLarge)
        let answers = Self.answers(Array(text(257).utf8))
        #expect(answers.last == .tooLarge && answers.count == Self.starts.utf8.count + 256 * 5 + 1)
    }
}

@Suite("HTTP request head scanner, fuzzed")
struct HTTPRequestHeadScannerFuzzTests {
    static func bytes(_ iteration: Int, using generator: inout SeededGenerator) -> [UInt8] {
        if iteration % 4 == 0 {
            return Array("GET / HTTP/1.".utf8)
                + Fuzzing.bytes(Array("1\r\n\r\na,:".utf8), upTo: 40, using: &generator)
        }
        let heads = HTTPRequestHeadScannerTests.heads
        return Fuzzing.mutated(Array(heads[iteration % heads.count].utf8), using: &generator)
    }

    @Test("mutated heads and random bytes never trap, and every range lies inside of the head")
    func neverTraps() {
        var generator = SeededGenerator(seed: 23)
        for iteration in 0..<Fuzzing.iterations(12_000) {
            let bytes = Self.bytes(iteration, using: &generator)
            // Any offset, even one that no earlier answer gave.
            let known = Int(generator.next() % 200) - 20
            let limit = Int(generator.next() % 400)
            for outcome in [
                HTTPRequestHeadScannerTests.scan(bytes),
                HTTPRequestHeadScannerTests.scan(bytes, limit: limit, searchedFrom: known),
            ] {
                guard case .head(let head) = outcome else { continue }
                let inside = head.fields.allSatisfy { field in
                    !field.name.isEmpty && field.name.lowerBound > head.target.upperBound
                        && field.name.upperBound < field.value.upperBound + 1
                        && field.value.upperBound <= head.length - 4
                        && !bytes[field.value].contains { $0 == 13 || $0 == 10 || $0 == 0 }
                }
                let line =
                    !head.method.isEmpty && head.method.upperBound < head.target.lowerBound && !head.target.isEmpty
                    && head.target.upperBound + 13 <= head.length && head.length <= bytes.count
                if !inside || !line || bytes[..<head.length].suffix(4) != [13, 10, 13, 10] {
                    Issue.record("\(String(decoding: bytes, as: UTF8.self)): \(head)")
                    return
                }
            }
        }
    }

    @Test("pieces of any size get the answer that the whole gets")
    func pieces() {
        var generator = SeededGenerator(seed: 24)
        for iteration in 0..<Fuzzing.iterations(1_500) {
            let bytes = Self.bytes(iteration, using: &generator)
            let limit = iteration % 8 == 1 ? Int(generator.next() % 120) : HTTPRequestHeadScannerTests.limit
            var known = 0
            while known < bytes.count {
                let count = min(bytes.count, known + 1 + Int(generator.next() % (iteration % 2 == 0 ? 2 : 40)))
                let told = HTTPRequestHeadScannerTests.scan(bytes[..<count], limit: limit, searchedFrom: known)
                let untold = HTTPRequestHeadScannerTests.scan(bytes[..<count], limit: limit)
                if told != untold {
                    Issue.record(
                        "\(String(decoding: bytes[..<count], as: UTF8.self).debugDescription) from \(known): \(told), \(untold)"
                    )
                    return
                }
                guard told == .needsMore else { break }
                known = count
            }
        }
    }
}
