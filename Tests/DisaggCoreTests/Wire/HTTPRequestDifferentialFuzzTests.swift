import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import DisaggCore

/// Compares the scanner with llhttp, which NIO's decoder wraps: what ours accepts, llhttp reads alike.
///
/// Ours may refuse more. The other way round there are the few differences of ``Difference``, counted and printed.
@Suite("HTTP request heads, compared with llhttp")
struct HTTPRequestDifferentialFuzzTests {
    private enum Difference: String {
        /// llhttp has a list of methods; here any token is one, and the router answers 405.
        case method = "a method that llhttp does not know"
        /// llhttp reads the target as a URL; here the router answers 404.
        case target = "a target that is no URL for llhttp"
        /// RFC 9110 §8.6 lets a recipient take one for many.
        case repeatedLength = "a Content-Length given twice with the same value"
    }

    private enum Verdict {
        case same
        case known(Difference)
        case fault(String)
    }

    /// What llhttp made of some bytes.
    private struct Reading {
        var parts: [HTTPServerRequestPart] = []
        var error: (any Error)?

        init(_ bytes: [UInt8]) {
            let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder()))
            do {
                try channel.writeInbound(ByteBuffer(bytes: bytes))
            } catch {
                self.error = error
            }
            while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) { parts.append(part) }
            _ = try? channel.finish(acceptAlreadyClosed: true)
        }

        var heads: [HTTPRequestHead] {
            parts.compactMap { part in
                if case .head(let head) = part { return head }
                return nil
            }
        }
        var body: [UInt8] {
            parts.flatMap { part in
                if case .body(let body) = part { return Array(body.readableBytesView) }
                return []
            }
        }
        var ends: Int {
            parts.count { part in
                if case .end = part { return true }
                return false
            }
        }
    }

    /// Feeds llhttp a head that the scanner accepted, a body as the scanner frames it, and a second request.
    private static func compare(_ bytes: [UInt8], _ head: ScannedRequestHead) -> Verdict {
        func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        // NIO writes M-SEARCH without its hyphen.
        let name = string(head.method)
        let method = name == "M-SEARCH" ? .MSEARCH : name == "MSEARCH" ? .RAW(value: name) : HTTPMethod(rawValue: name)
        var wire = Array(bytes[..<head.length])
        var body: [UInt8] = []
        var isWhole = true
        switch head.framing {
        case .none: break
        case .length(let length):
            body = Array(repeating: UInt8(ascii: "b"), count: min(length, 40))
            wire += body
            isWhole = length <= 40
        case .chunked:
            body = Array("GET / HTTP/1.1\r\n\r\n".utf8)
            wire += Array("12\r\n".utf8) + body + Array("\r\n0\r\n\r\n".utf8)
        }
        // Behind CONNECT and an accepted upgrade llhttp reads nothing; ours says that the connection ends.
        // It takes Proxy-Connection, which no specification has, for Connection.
        let closesForProxies = head.fields.contains { field in
            string(field.name).lowercased() == "proxy-connection" && string(field.value).lowercased().contains("close")
        }
        // Nor does it find keep-alive ahead of a tab.
        let missesKeepAlive = head.minorVersion == 0 && wire.contains(UInt8(ascii: "\t"))
        let goesOn = isWhole && head.keepAlive && !closesForProxies && !missesKeepAlive
        if goesOn { wire += Array("GET /second HTTP/1.1\r\nhost: y\r\n\r\n".utf8) }

        let reading = Reading(wire)
        guard let first = reading.heads.first else {
            switch reading.error as? HTTPParserError {
            case .invalidMethod? where !method.isKnown: return .known(.method)
            case .invalidURL?: return .known(.target)
            case .unexpectedContentLength?:
                let lengths = head.fields.count { string($0.name).lowercased() == "content-length" }
                return lengths > 1 ? .known(.repeatedLength) : .fault("llhttp: one length is too many")
            case let error: return .fault("llhttp refuses: \(String(describing: error))")
            }
        }
        guard first.method == method else { return .fault("llhttp reads the method \(first.method)") }
        guard first.uri == string(head.target) else { return .fault("llhttp reads the target \(first.uri)") }
        guard first.version == HTTPVersion(major: 1, minor: head.minorVersion) else {
            return .fault("\(first.version)")
        }
        let fields = head.fields.map { "\(string($0.name)): \(string($0.value))" }
        // llhttp leaves white space at the end of a value.
        let theirs = first.headers.map { name, value in
            "\(name): \(value[..<(value.lastIndex { $0 != " " && $0 != "\t" }.map { value.index(after: $0) } ?? value.startIndex)])"
        }
        guard theirs == fields else { return .fault("\(first.headers)") }
        guard method != .CONNECT else { return .same }
        guard reading.body == body else {
            return .fault("llhttp reads the body \(String(decoding: reading.body, as: UTF8.self).debugDescription)")
        }
        guard reading.heads.count == (goesOn ? 2 : 1), reading.ends == (isWhole ? reading.heads.count : 0) else {
            return .fault("llhttp reads \(reading.heads.count) heads and \(reading.ends) ends: \(reading.parts)")
        }
        guard !goesOn || reading.heads.last?.uri == "/second" else { return .fault("llhttp reads another second head") }
        return .same
    }

    /// A head put together from usual and unusual pieces.
    private static func composed(using generator: inout SeededGenerator) -> [UInt8] {
        let methods = ["GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "M-SEARCH", "PRI", "get", "SOURCE"]
        let targets = [
            "/", "/v1/completions", "*", "/a?b=c#d", "http://a.test:80/x", "a.test:443", "//x", "/%00{}|", "x",
        ]
        let names = [
            "Host", "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "a",
            "Content-Length ", "Transfer-Encoding\t", "X_y", "Proxy-Connection", " folded",
        ]
        let values = [
            "", "x", "0", "5", "5", "05", "41", "+5", "5,5", "999999999999999", "chunked", "CHUNKED",
            "chunked, chunked",
            "gzip, chunked", "close", "keep-alive", "upgrade", "close, upgrade", "h2c", "100-continue", "\"q\"; \u{e4}",
            "a\tb",
        ]
        let ends = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", " \r\n", "\t \r\n", "\n"]
        func pick(_ list: [String]) -> String { list[Int(generator.next() % UInt64(list.count))] }
        var text = generator.next() % 16 == 0 ? "\r\n" : ""
        text += "\(pick(methods)) \(pick(targets)) HTTP/1.\(generator.next() % 4 == 0 ? 0 : 1)\r\n"
        for _ in 0..<generator.next() % 5 {
            text += pick(names) + pick([":", ": ", ": ", ":\t "]) + pick(values) + pick(ends)
        }
        return Array((text + "\r\n").utf8)
    }

    @Test("whatever is accepted, llhttp accepts with the same method, target, fields and body")
    func acceptsNoMoreThanLLHTTP() {
        var generator = SeededGenerator(seed: 25)
        var accepted = 0
        var known: [String: Int] = [:]
        for iteration in 0..<Fuzzing.iterations(8_000) {
            let bytes =
                iteration % 2 == 0
                ? Self.composed(using: &generator)
                : HTTPRequestHeadScannerFuzzTests.bytes(iteration / 2, using: &generator)
            guard case .head(let head) = HTTPRequestHeadScannerTests.scan(bytes) else { continue }
            accepted += 1
            switch Self.compare(bytes, head) {
            case .same: break
            case .known(let difference): known[difference.rawValue, default: 0] += 1
            case .fault(let fault):
                Issue.record(
                    "iteration \(iteration): \(String(decoding: bytes, as: UTF8.self).debugDescription): \(fault)")
                return
            }
        }
        #expect(accepted > Fuzzing.iterations(1_000))
        for (difference, count) in known.sorted(by: { $0.key < $1.key }) {
            print("of \(accepted) heads, \(count) have \(difference)")
        }
    }
}

extension HTTPMethod {
    /// Whether NIO has a case for it.
    fileprivate var isKnown: Bool {
        if case .RAW = self { return false }
        return true
    }
}
