/// Which header fields a proxy passes on.
package enum HeaderPolicy {
    /// Whether a client's request field goes to the engines: not hop-by-hop ones, nor those that the proxy writes itself,
    /// that would change what it must read, or that say which engine or rank serves what.
    package static func forwardsRequestField(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        if isHopByHop(bytes, name) { return false }
        return switch name.count {
        case 4: !HTTPFieldSyntax.equals(bytes, name, "host")
        case 6: !HTTPFieldSyntax.equals(bytes, name, "expect")
        case 12: !HTTPFieldSyntax.equals(bytes, name, "x-request-id")
        case 14: !HTTPFieldSyntax.equals(bytes, name, "content-length")
        case 15: !HTTPFieldSyntax.equals(bytes, name, "accept-encoding")
        case 20: !HTTPFieldSyntax.equals(bytes, name, "x-data-parallel-rank")
        case 21:
            !HTTPFieldSyntax.equals(bytes, name, "x-prefiller-host-port")
                && !HTTPFieldSyntax.equals(bytes, name, "x-encoder-hosts-ports")
        case 25: !HTTPFieldSyntax.equals(bytes, name, "x-data-parallel-host-port")
        default: true
        }
    }

    /// Whether an engine's answer field goes to the client; framing is written anew.
    package static func forwardsResponseField(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        if isHopByHop(bytes, name) { return false }
        return switch name.count {
        case 12: !HTTPFieldSyntax.equals(bytes, name, "x-request-id")
        case 14: !HTTPFieldSyntax.equals(bytes, name, "content-length")
        default: true
        }
    }

    /// Whether a field is hop-by-hop. Source: RFC 9110 §7.6.1, and the historical list of RFC 2616 §13.5.1.
    ///
    /// The length of a name rules nearly all of them out.
    private static func isHopByHop(_ bytes: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        switch name.count {
        case 2: HTTPFieldSyntax.equals(bytes, name, "te")
        case 7: HTTPFieldSyntax.equals(bytes, name, "trailer") || HTTPFieldSyntax.equals(bytes, name, "upgrade")
        case 10: HTTPFieldSyntax.equals(bytes, name, "connection") || HTTPFieldSyntax.equals(bytes, name, "keep-alive")
        case 16: HTTPFieldSyntax.equals(bytes, name, "proxy-connection")
        case 17: HTTPFieldSyntax.equals(bytes, name, "transfer-encoding")
        case 18: HTTPFieldSyntax.equals(bytes, name, "proxy-authenticate")
        case 19: HTTPFieldSyntax.equals(bytes, name, "proxy-authorization")
        default: false
        }
    }

    /// Whether a field is a connection field that may name others: nearly all say only what becomes of the connection.
    @inline(__always)
    static func namesFields(_ bytes: UnsafeRawBufferPointer, _ field: ScannedField) -> Bool {
        field.name.count == 10 && HTTPFieldSyntax.equals(bytes, field.name, "connection")
            && !HTTPFieldSyntax.equals(bytes, field.value, "keep-alive")
            && !HTTPFieldSyntax.equals(bytes, field.value, "close")
    }

    /// Whether a connection field's value names another field, which then is hop-by-hop too (RFC 9110 §7.6.1).
    static func lists(
        _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>, _ name: Slice<UnsafeRawBufferPointer>
    ) -> Bool {
        HTTPFieldSyntax.contains(bytes, value) { token in
            token.count == name.count && isEqual(bytes, token.lowerBound, name)
        }
    }

    /// Whether two names of one length are the same, upper case folded.
    private static func isEqual(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ name: Slice<UnsafeRawBufferPointer>
    ) -> Bool {
        func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
        for offset in 0..<name.count {
            guard lower(bytes[start &+ offset]) == lower(name[name.startIndex &+ offset]) else { return false }
        }
        return true
    }
}
