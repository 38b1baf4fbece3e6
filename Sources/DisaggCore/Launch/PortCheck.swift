internal import Glibc

/// Tries ports before anything is started.
///
/// A conflict found later costs minutes of model loading, and LMCache does not even report one: two receivers on one
/// port both come up without an error.
package enum PortCheck {
    /// Binds and closes every port.
    ///
    /// - Throws: ``CommandError`` naming each taken port, who wants it and who holds it.
    package static func check(_ claims: [PortClaim]) throws(CommandError) {
        var problems: [String] = []
        for claim in claims where claim.endpoint.port != 0 {
            if let problem = problem(claim) { problems.append(problem) }
        }
        guard !problems.isEmpty else { return }
        problems.append("stop that process, or choose other ports with --port-offset or in the deployment file")
        throw CommandError(problems.joined(separator: "\n"))
    }

    /// Why one port cannot be had, nil where it can.
    static func problem(_ claim: PortClaim) -> String? {
        guard let code = bindError(claim) else { return nil }
        let wanted = "port \(claim.endpoint.port), which \(claim.process) needs (\(claim.purpose))"
        switch code {
        case EADDRINUSE:
            let holder = PortHolder.find(port: claim.endpoint.port).map { "taken by \($0)" } ?? "taken"
            return "\(wanted), is \(holder)"
        default: return "\(wanted), cannot be bound on \(claim.endpoint.host): \(String(cString: strerror(code)))"
        }
    }

    /// The error of binding and listening, nil where both work.
    private static func bindError(_ claim: PortClaim) -> Int32? {
        // LMCache's async receiver binds its alloc port on all addresses, whatever host it is given.
        let host = claim.purpose.hasPrefix("PD alloc") ? "0.0.0.0" : claim.endpoint.host
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host == "*" ? nil : host, "\(claim.endpoint.port)", &hints, &list) == 0, let list else {
            return EADDRNOTAVAIL
        }
        defer { freeaddrinfo(list) }
        var failure: Int32?
        var bound = false
        var next: UnsafeMutablePointer<addrinfo>? = list
        while let info = next?.pointee {
            next = info.ai_next
            switch bindOnce(info) {
            case nil: bound = true
            case EADDRINUSE: return EADDRINUSE
            // A name such as localhost may have an IPv6 address on a machine without IPv6.
            case let code?: failure = failure ?? code
            }
        }
        return bound ? nil : failure ?? EADDRNOTAVAIL
    }

    private static func bindOnce(_ info: addrinfo) -> Int32? {
        let descriptor = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), info.ai_protocol)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var on: Int32 = 1
        // Servers set this too: connections that linger from the last run are no obstacle.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        if info.ai_family == AF_INET6 {
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0, listen(descriptor, 1) == 0 else { return errno }
        return nil
    }
}
