/// Who sent a request, as its headers tell: read once, as the headers are not kept.
package struct RequestOrigin: Sendable, Hashable {
    /// Hash of the session that a header names; nil where none does.
    package var sessionKey: UInt64?
    /// Hash of the API key, 0 without one: waiting requests take turns by it.
    package var tenant: UInt64 = 0
    /// Order among waiting requests, lower first, -1000...1000.
    package var priority = 0

    package init() {}
}
