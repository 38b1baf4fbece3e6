/// LMCache's word to the proxy that one prefill rank has stored a request's KV cache.
///
/// The body of a one-frame ZMQ message: a MessagePack map with `type` = `ProxyNotif` and `req_id` = the
/// `disagg_spec.req_id` of the prefill request. Source: LMCache 0.5.6 `pd_backend.py` 41 and 67: a msgspec `Struct` with
/// `tag=True`.
package struct ProxyNotif: Equatable, Sendable {
    /// What the bytes of a message are.
    package enum Decoded: Equatable, Sendable {
        /// A notification.
        case notification(ProxyNotif)
        /// A map with another `type`: some other LMCache message, to be ignored as LMCache's own proxy does.
        case otherType
        /// Not MessagePack, not a map, no `type`, or a `ProxyNotif` without a `req_id` string.
        case malformed
    }

    private static let tag: StaticString = "ProxyNotif"

    /// The request's id on the prefill leg.
    package var requestID: String

    package init(requestID: String) { self.requestID = requestID }

    /// The message's bytes as msgspec writes them: `type` first.
    package var encoded: [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(requestID.utf8.count + 30)
        MessagePackWriter.appendMapHeader(2, to: &output)
        for text in ["type", "\(Self.tag)", "req_id", requestID] { MessagePackWriter.append(text, to: &output) }
        return output
    }

    /// Reads a message. Keys may come in any order and others may be among them, with values of any type; where a key
    /// is repeated its last value counts.
    package static func decode(_ bytes: [UInt8]) -> Decoded {
        do throws(MessagePackError) {
            return try read(bytes)
        } catch {
            return .malformed
        }
    }

    private static func read(_ bytes: [UInt8]) throws(MessagePackError) -> Decoded {
        var reader = MessagePackReader(bytes)
        guard let count = try reader.readMapHeader() else { return .malformed }
        var typed = false
        var isNotification = false
        var requestID: String?
        for _ in 0..<count {
            switch try reader.readString(among: "type", "req_id") {
            case 0:
                typed = true
                let value = try reader.readString(among: tag, tag)
                isNotification = value == 0
                if value == nil { try reader.skipValue() }
            case 1:
                requestID = try reader.readString()
                if requestID == nil { try reader.skipValue() }
            case .some: try reader.skipValue()
            case nil:
                try reader.skipValue()
                try reader.skipValue()
            }
        }
        guard reader.isAtEnd, typed else { return .malformed }
        guard isNotification else { return .otherType }
        guard let requestID else { return .malformed }
        return .notification(ProxyNotif(requestID: requestID))
    }
}
