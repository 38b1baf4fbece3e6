import NIOCore
import Testing

@testable import DisaggCore

@Suite("Header policy")
struct HeaderPolicyTests {
    @Test(
        "hop-by-hop fields and those the proxy writes itself stay behind, in any case",
        arguments: [
            "Connection", "Keep-Alive", "Proxy-Connection", "PROXY-AUTHORIZATION", "TE", "Trailer", "Transfer-Encoding",
            "Upgrade", "Host", "Content-Length", "Expect", "X-Request-ID", "Accept-Encoding", "x-hop",
        ])
    func staysBehind(name: String) {
        #expect(Self.forwarded(name).isEmpty)
    }

    @Test(
        "everything else is forwarded",
        arguments: ["Authorization", "content-type", "traceparent", "accept", "te2", "x"])
    func isForwarded(name: String) {
        #expect(Self.forwarded(name) == "\(name): value\r\n")
    }

    private static func forwarded(_ name: String) -> String {
        var block = HeaderBlock()
        block.add(name: "connection", value: "close, X-Hop")
        block.add(name: name, value: "value")
        return String(
            buffer: .text(reserving: 64) {
                block.writeForwarded(to: &$0, where: HeaderPolicy.forwardsRequestField)
            })
    }

    @Test("fields come out as name, colon, space and value, however they came")
    func normalised() throws {
        let text =
            "GET / HTTP/1.1\r\nA: 1\r\nb: 2\r\nConnection: Keep-Alive\r\nC:3\r\nD:   4\t \r\nE: \r\nF: 6\r\nTE: x\r\n"
            + "Host: h\r\nG: 7\r\n\r\n"
        let scan = Array(text.utf8).withUnsafeBytes { HTTPRequestHeadScanner.scan($0, limit: 4096) }
        guard case .head(let head) = scan else {
            Issue.record("\(scan)")
            return
        }
        let block = HeaderBlock(bytes: ByteBuffer(string: text), fields: head.fields)
        let lines = ByteBuffer.text(reserving: 0) {
            block.writeForwarded(to: &$0, where: HeaderPolicy.forwardsRequestField)
        }
        #expect(String(buffer: lines) == "A: 1\r\nb: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: 6\r\nG: 7\r\n")
    }

    @Test("a field that the engine's own connection header names is not the client's")
    func connectionListed() throws {
        let text =
            "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nx-kept: 2\r\ncontent-length: 0\r\n\r\n"
        guard case .head(let scanned) = HTTPResponseHeadScannerTests.scan(text) else {
            Issue.record("malformed")
            return
        }
        let head = UpstreamHead(scanned: scanned, bytes: ByteBuffer(string: text))
        #expect(String(buffer: head.clientLines(requestID: "id")) == "x-kept: 2\r\nx-request-id: id\r\n")
    }

    @Test(
        "a request id of the client is taken where it is harmless",
        arguments: [
            ("abc-123", true), ("", false), ("a b", false), ("a\tb", false), ("a\u{7F}b", false), ("é", false),
            ("a\r\nb: c", false),
            (String(repeating: "x", count: 128), true), (String(repeating: "x", count: 129), false),
        ])
    func requestIDs(own: String, taken: Bool) {
        var generator = SeededGenerator(seed: 1)
        var headers = HeaderBlock()
        headers.add(name: "X-Request-Id", value: own)
        let id = RequestHeadWriter.requestID(headers, using: &generator, loop: 0)
        #expect((id == own) == taken)
        #expect(!id.isEmpty)
    }

    @Test("names are compared without their case, letters only, wherever they differ")
    func equality() {
        for name in ["te", "host", "upgrade", "connection", "x-request-id", "content-length", "transfer-encoding"] {
            let bytes = Array(name.utf8)
            for (index, original) in bytes.enumerated() {
                for byte in UInt8.min...UInt8.max {
                    var other = bytes
                    other[index] = byte
                    let lower = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
                    var head = ByteBuffer(string: "ab")
                    head.writeBytes(other)
                    let found = head.withUnsafeReadableBytes { raw in
                        Self.names.map { HTTPFieldSyntax.equals(raw, 2..<raw.count, $0) }
                    }
                    let expected = Self.names.map { "\($0)" == name && lower == original }
                    #expect(found == expected, "\(name) with \(byte) at \(index)")
                }
            }
        }
    }

    private static let names: [StaticString] = [
        "te", "host", "upgrade", "connection", "x-request-id", "content-length", "transfer-encoding",
    ]
}
