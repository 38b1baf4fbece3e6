/// The server under test: `http://host:port`, with a path before `/v1` where it has one.
package struct BenchTarget: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int
    /// Empty, or begins with a slash and does not end with one.
    package var pathPrefix: String

    /// Reads an address.
    ///
    /// - Throws: ``CommandError`` that says what an address looks like.
    package init(_ text: String) throws(CommandError) {
        func complain(_ reason: String) -> CommandError {
            CommandError("\"\(text)\" is no address of a server: \(reason); expected http://HOST:PORT")
        }
        var rest = text[...]
        if let scheme = rest.firstRange(of: "://") {
            switch rest[..<scheme.lowerBound].lowercased() {
            case "http": rest = rest[scheme.upperBound...]
            case "https":
                throw CommandError(
                    "\(text): TLS is not spoken here; give the server's plain http:// address, behind what ends TLS")
            default: throw complain("unknown scheme")
            }
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var authority = rest[..<slash]
        var path = rest[slash...]
        while path.hasSuffix("/") { path.removeLast() }
        // The base address of OpenAI clients ends so.
        if path.hasSuffix("/v1") { path.removeLast(3) }
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
        else { throw complain("a path has no spaces, queries or fragments") }
        guard !authority.contains("@") else {
            throw CommandError("an address with a user name is not sent; name the key's variable with --api-key-env")
        }
        port = 80
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65535).contains(number) else {
                throw complain("a port is 1...65535")
            }
            port = number
            authority = authority[..<colon]
        }
        if authority.hasPrefix("["), authority.hasSuffix("]") { authority = authority.dropFirst().dropLast() }
        guard !authority.isEmpty else { throw complain("the host is missing") }
        guard authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"[]\\\"<>".utf8.contains($0) }) else {
            throw complain("the host has characters that hosts do not have")
        }
        host = String(authority)
        pathPrefix = String(path)
    }

    /// Host and port as a `Host` field has them.
    package var authority: String { Endpoint(host: host, port: port).description }

    package var description: String { "http://\(authority)\(pathPrefix)" }
}
