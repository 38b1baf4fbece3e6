import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// One address a listener binds.
struct ListenAddress: Equatable {
    /// The address with the port that was asked for.
    var address: SocketAddress
    /// Whether the listener must not start without it. Optional ones are skipped where the machine lacks them.
    var required: Bool
    /// Whether a listener on an IPv6 address takes IPv4 peers too.
    var dualStack = false

    /// The addresses behind a host as ZeroMQ users write it, in the order they are bound.
    ///
    /// ZeroMQ's senders are IPv4 only unless told otherwise (`ZMQ_IPV6` 0), so `tcp://localhost` reaches 127.0.0.1 and
    /// never ::1: a listener for them must have an IPv4 address wherever the host has one.
    ///
    /// - `localhost`: 127.0.0.1, and ::1 where it exists.
    /// - `*`: all of IPv4, and all of IPv6 where it exists.
    /// - `0.0.0.0`: all of IPv4. `::`: all of both.
    /// - an address, in brackets or not: itself.
    /// - a name: all its addresses on this machine. Looking it up blocks.
    static func resolve(_ endpoint: Endpoint) throws -> [ListenAddress] {
        var host = endpoint.host
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let literals: [(text: String, required: Bool)]
        switch host {
        case "localhost": literals = [("127.0.0.1", true), ("::1", false)]
        case "*", "": literals = [("0.0.0.0", true), ("::", false)]
        default: literals = [(host, true)]
        }
        do {
            return try literals.map { literal in
                ListenAddress(
                    address: try SocketAddress(ipAddress: literal.text, port: endpoint.port),
                    required: literal.required, dualStack: host == "::")
            }
        } catch {
            return try lookUp(host, port: endpoint.port)
        }
    }

    private static func lookUp(_ host: String, port: Int) throws(NotifyError) -> [ListenAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        #else
        hints.ai_socktype = SOCK_STREAM
        #endif
        var head: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &head)
        // The list belongs to this function until it returns; addresses are copied out of it.
        defer { if let head { freeaddrinfo(head) } }
        guard status == 0 else {
            throw .unknownHost(host, reason: gai_strerror(status).map { String(cString: $0) } ?? "error \(status)")
        }
        var found: [ListenAddress] = []
        var entry = head
        while let info = entry?.pointee {
            entry = info.ai_next
            guard let raw = info.ai_addr, var address = copy(raw, family: info.ai_family) else { continue }
            address.port = port
            let candidate = ListenAddress(address: address, required: false)
            if !found.contains(candidate) { found.append(candidate) }
        }
        guard !found.isEmpty else { throw .unknownHost(host, reason: "no IPv4 or IPv6 address") }
        // IPv4 first: its port is the one that is reported where the system chooses.
        return found.filter { $0.address.protocol == .inet } + found.filter { $0.address.protocol != .inet }
    }

    private static func copy(_ raw: UnsafeMutablePointer<sockaddr>, family: Int32) -> SocketAddress? {
        switch family {
        case AF_INET: raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee) }
        case AF_INET6: raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee) }
        default: nil
        }
    }
}

extension IOError {
    /// Whether another socket has the address.
    var isTaken: Bool { errnoCode == EADDRINUSE }

    /// Whether this machine lacks the address, or its whole family.
    var isMissingAddress: Bool { errnoCode == EADDRNOTAVAIL || errnoCode == EAFNOSUPPORT }
}
