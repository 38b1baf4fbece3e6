/// Which header fields a proxy passes on.
package enum HeaderPolicy {
    /// Hop-by-hop fields, lower case. Source: RFC 9110 §7.6.1, and the historical list of RFC 2616 §13.5.1.
    static let hopByHop: [StaticString] = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    /// Request fields the proxy writes itself, or that would change what it must read.
    static let ownRequestFields: [StaticString] = [
        "host", "content-length", "expect", "x-request-id", "accept-encoding",
    ]

    /// Whether a client's request field goes to the engines.
    package static func forwardsRequestField(_ name: String, connection: [String]) -> Bool {
        for field in hopByHop where equals(name, field) { return false }
        for field in ownRequestFields where equals(name, field) { return false }
        return !connection.contains { $0.utf8.count == name.utf8.count && $0.lowercased() == name.lowercased() }
    }

    /// Whether an engine's answer field goes to the client; framing is written anew.
    package static func forwardsResponseField(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        for field in hopByHop where HTTPFieldSyntax.equals(bytes, name, field) { return false }
        return !HTTPFieldSyntax.equals(bytes, name, "content-length")
            && !HTTPFieldSyntax.equals(bytes, name, "x-request-id")
    }

    /// Whether a connection field's value names another field, which then is hop-by-hop too (RFC 9110 §7.6.1).
    static func lists(
        _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>, _ name: Slice<UnsafeRawBufferPointer>
    ) -> Bool {
        func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
        return bytes[value].split(separator: UInt8(ascii: ",")).contains { part in
            let token = part.drop { $0 == 0x20 || $0 == 0x09 }
            return token.count >= name.count && zip(token, name).allSatisfy { lower($0) == lower($1) }
                && token.dropFirst(name.count).allSatisfy { $0 == 0x20 || $0 == 0x09 }
        }
    }

    /// Whether a name equals a lower-case ASCII text, upper case folded.
    package static func equals(_ name: String, _ text: StaticString) -> Bool {
        var name = name
        return name.withUTF8 { utf8 in
            HTTPFieldSyntax.equals(UnsafeRawBufferPointer(utf8), 0..<utf8.count, text)
        }
    }
}
