/// Why the notification channel cannot be opened.
package struct NotifyError: Error, Equatable, CustomStringConvertible {
    private enum Code: Equatable {
        case portTaken(Endpoint)
        case unknownHost(String, reason: String)
        case foreignAddress(Endpoint)
        case bindFailed(Endpoint, reason: String)
        case incompatibleGroup
        case alreadyStarted
        case shutDown
    }

    private let code: Code

    /// Another socket listens on that address.
    package static func portTaken(_ endpoint: Endpoint) -> Self { Self(code: .portTaken(endpoint)) }
    /// The host name has no address.
    package static func unknownHost(_ host: String, reason: String) -> Self {
        Self(code: .unknownHost(host, reason: reason))
    }
    /// The host's addresses belong to another machine.
    package static func foreignAddress(_ endpoint: Endpoint) -> Self { Self(code: .foreignAddress(endpoint)) }
    /// The system refused the address for another reason.
    package static func bindFailed(_ endpoint: Endpoint, reason: String) -> Self {
        Self(code: .bindFailed(endpoint, reason: reason))
    }
    /// The event loop group cannot open TCP sockets.
    package static let incompatibleGroup = Self(code: .incompatibleGroup)
    /// `start` was called twice.
    package static let alreadyStarted = Self(code: .alreadyStarted)
    /// `shutdown` was called before or during `start`.
    package static let shutDown = Self(code: .shutDown)

    /// Whether another socket listens on the address.
    package var isPortTaken: Bool {
        if case .portTaken = code { true } else { false }
    }

    package var description: String {
        switch code {
        case .portTaken(let endpoint):
            "notification listener: \(endpoint) is taken by another process; stop it or choose another port"
        case .unknownHost(let host, let reason):
            "notification listener: expected a name or address of this machine, got \"\(host)\": \(reason)"
        case .foreignAddress(let endpoint):
            "notification listener: \(endpoint) is no address of this machine; use localhost, * or one of its addresses"
        case .bindFailed(let endpoint, let reason): "notification listener: binding \(endpoint): \(reason)"
        case .incompatibleGroup: "notification listener: expected an event loop group of NIOPosix, got another"
        case .alreadyStarted: "notification listener: started twice"
        case .shutDown: "notification listener: shut down while it started"
        }
    }
}
