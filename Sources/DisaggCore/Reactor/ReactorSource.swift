internal import CLinuxSockets

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// What a descriptor is ready for, as epoll says it.
package struct ReadyEvents: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    static let readable = Self(rawValue: EPOLLIN.rawValue)
    static let writable = Self(rawValue: EPOLLOUT.rawValue)
    /// The peer sends nothing any more.
    static let peerFinished = Self(rawValue: EPOLLRDHUP.rawValue)
    static let error = Self(rawValue: EPOLLERR.rawValue)
    static let hangUp = Self(rawValue: EPOLLHUP.rawValue)
}

/// Something with a descriptor that a ``Reactor`` watches. Lives on the reactor's thread.
package class ReactorSource {
    package final let reactor: Reactor
    /// The descriptor, owned; -1 once closed or given away.
    package final var descriptor: CInt
    /// Place in the reactor's table; -1 while it is in none.
    final var slot = -1

    init(reactor: Reactor, descriptor: CInt) {
        self.reactor = reactor
        self.descriptor = descriptor
    }

    deinit { if descriptor >= 0 { SystemCall.close(descriptor) } }

    /// The descriptor is ready; called by the reactor.
    func ready(_ events: ReadyEvents) {}

    /// Closes the descriptor and leaves the reactor.
    package func close() {
        guard descriptor >= 0 else { return }
        // The table may hold the last reference.
        withExtendedLifetime(self) {
            reactor.remove(self)
            SystemCall.close(descriptor)
            descriptor = -1
        }
    }
}

/// A system call that failed.
package struct SocketError: Error, CustomStringConvertible {
    /// What was tried.
    package let action: String
    /// The system's error number.
    package let code: CInt

    init(_ action: String, _ code: CInt) {
        self.action = action
        self.code = code
    }

    /// The system's words for an error number.
    package static func text(_ code: CInt) -> String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }

    /// Whether another process has the address.
    package var isTaken: Bool { code == EADDRINUSE }

    package var description: String { "cannot \(action): \(Self.text(code))" }
}
