internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// Sockets as the data plane wants them: non-blocking, not inherited by child processes.
enum SocketOptions {
    static func makeStreamSocket(for address: SocketAddress) throws(SocketError) -> CInt {
        let family =
            switch address {
            case .v4: AF_INET
            case .v6: AF_INET6
            case .unixDomainSocket: AF_UNIX
            }
        let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw SocketError("create a socket", errno) }
        return descriptor
    }

    /// Sets an option; what fails here only costs speed.
    static func set(_ descriptor: CInt, _ level: CInt, _ option: CInt, _ value: CInt) {
        var value = value
        _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    /// The port a socket is bound to.
    static func localPort(of descriptor: CInt) -> Int? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { raw -> Int? in
            guard let base = raw.baseAddress,
                getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &size) == 0
            else { return nil }
            switch CInt(raw.load(as: sockaddr.self).sa_family) {
            case AF_INET: return SocketAddress(raw.load(as: sockaddr_in.self)).port
            case AF_INET6: return SocketAddress(raw.load(as: sockaddr_in6.self)).port
            default: return nil
            }
        }
    }
}
