internal import NIOCore
internal import NIOPosix

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Resolves host names off the event loops, and remembers the answer for a moment: the system tells no time to live.
final class NameResolver {
    /// How long an answer is used again. Short: a name that moves must be followed.
    static let memory = TimeAmount.seconds(5)

    private let reactor: Reactor
    private var known: [String: (addresses: [SocketAddress], until: NIODeadline)] = [:]

    init(reactor: Reactor) { self.reactor = reactor }

    /// Finds the addresses of a host, the families in turn as RFC 8305 §4 wants it; empty where it has none.
    func resolve(host: String, port: Int, completion: @escaping ([SocketAddress]) -> Void) {
        let key = "\(host):\(port)"
        if let entry = known[key], entry.until > .now() { return completion(entry.addresses) }
        NIOThreadPool.singleton.runIfActive(eventLoop: reactor) { Self.lookUp(host, port) }
            .assumeIsolated().whenComplete { [self] result in
                let addresses = (try? result.get()) ?? []
                known[key] = addresses.isEmpty ? nil : (addresses, .now() + Self.memory)
                completion(addresses)
            }
    }

    static func lookUp(_ host: String, _ port: Int) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let raw = UnsafeMutableRawPointer(entry.pointee.ai_addr) {
                switch entry.pointee.ai_family {
                case AF_INET: found.append(SocketAddress(raw.load(as: sockaddr_in.self), host: host))
                case AF_INET6: found.append(SocketAddress(raw.load(as: sockaddr_in6.self), host: host))
                default: break
                }
            }
            next = entry.pointee.ai_next
        }
        return interleaved(found)
    }

    /// The system's order, but with the families in turn, so that one that leads nowhere costs one attempt.
    static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first else { return [] }
        var same = addresses.filter { $0.protocol == first.protocol }[...]
        var other = addresses.filter { $0.protocol != first.protocol }[...]
        var mixed: [SocketAddress] = []
        while !same.isEmpty || !other.isEmpty {
            if let address = same.popFirst() { mixed.append(address) }
            if let address = other.popFirst() { mixed.append(address) }
        }
        return mixed
    }
}
