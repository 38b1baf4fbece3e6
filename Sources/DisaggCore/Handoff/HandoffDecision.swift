/// How one request was served and why: the value of the `x-disagg-decision` field, and the labels of its metric.
package struct HandoffDecision: Sendable, Equatable {
    /// The name of the answer field.
    package static let fieldName: StaticString = "x-disagg-decision"

    /// The deployment's hand-off.
    package var handoff: HandoffKind
    package var reason: HandoffReason
    /// Ids of the backends that served it; nil where there was none.
    package var prefill: String?
    package var decode: String?
    /// Legs and pairs that were tried again.
    package var retries = 0
    /// Ids of the backends that failed, in their order.
    package var failed: [String] = []
    /// Pairs that the request was split into, 1 where it was not.
    package var parts = 1

    package init(handoff: HandoffKind, reason: HandoffReason) {
        self.handoff = handoff
        self.reason = reason
    }

    /// Whether prefill and decode ran on different engines.
    package var isDisaggregated: Bool { reason == .disaggregated }

    /// Backends named in ``failed`` at most; a client needs no longer list.
    private static let maximumFailed = 8

    /// The field's value, a dictionary in the sense of RFC 9651 §3.2, for example
    /// `protocol=nixl, disaggregated, reason=disaggregated, prefill="prefill-0", decode="decode-1", retries=1, failed=("decode-0")`.
    package var fieldValue: String {
        // A true value is written by its name alone (§4.1.2).
        var members = [
            "protocol=\(handoff.rawValue)", isDisaggregated ? "disaggregated" : "disaggregated=?0",
            "reason=\(reason.rawValue)",
        ]
        if let prefill { members.append("prefill=\(Self.string(prefill))") }
        if let decode { members.append("decode=\(Self.string(decode))") }
        members.append("retries=\(retries)")
        if !failed.isEmpty {
            members.append("failed=(\(failed.prefix(Self.maximumFailed).map(Self.string).joined(separator: " ")))")
        }
        if parts > 1 { members.append("parts=\(parts)") }
        return members.joined(separator: ", ")
    }

    /// The field as a line of a head.
    package var line: String { "\(Self.fieldName): \(fieldValue)\r\n" }

    /// A quoted string (§4.1.6); what is not printable ASCII cannot be in one and is left out.
    private static func string(_ text: String) -> String {
        var result = "\""
        for byte in text.utf8 where byte >= 0x20 && byte < 0x7F {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { result += "\\" }
            result.unicodeScalars.append(Unicode.Scalar(byte))
        }
        return result + "\""
    }
}
