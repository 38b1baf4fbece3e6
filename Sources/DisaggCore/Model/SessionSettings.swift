/// What tells the session of a request, for the policy `session`.
///
/// The first header that is there counts, then the body's `user`, then the beginning of the conversation: the messages up
/// to the first one of the user, or the first 256 bytes of a prompt.
public struct SessionSettings: Sendable, Hashable {
    /// Headers whose value names the session, by falling priority.
    public var headers = ["x-session-id", "x-user-id", "x-conversation-id"]
    /// How far above the mean a backend's load may be before its sessions overflow, more than 1.
    public var loadFactor = 1.25

    /// Creates the defaults.
    public init() {}
}
