/// llm-d's `x-prefiller-host-port`: the prefill engine that a request wants.
///
/// What a client names would be connected to, so only targets on a list of the deployment are ever taken. Source:
/// llm-d-inference-scheduler `pkg/common/routing/common.go` 10-17: the field is repeated or holds a list with commas, and the
/// first target is used.
package enum PrefillerHeader {
    /// Finds the target.
    ///
    /// - Parameters:
    ///   - values: the field's values in their order.
    ///   - allowed: the targets that may be named.
    /// - Returns: nil where the field is absent or empty.
    /// - Throws: ``DisaggError`` with code `badRequest` for what is no `host:port`, `forbidden` for a target that is not
    ///   allowed. Every target of the list is checked, not only the one that is used.
    package static func target(_ values: [String], allowed: [Endpoint]) throws(DisaggError) -> Endpoint? {
        var first: Endpoint?
        for value in values {
            for item in value.split(separator: ",") {
                let text = item.trimming()
                guard !text.isEmpty else { continue }
                guard let target = endpoint(text) else {
                    throw DisaggError(
                        .badRequest, "x-prefiller-host-port must be host:port, or several of them with commas between",
                        parameter: "x-prefiller-host-port")
                }
                guard allowed.contains(target) else {
                    throw DisaggError(
                        .forbidden,
                        "x-prefiller-host-port names an engine that this proxy may not use; "
                            + "its operator can allow it with proxy.allowPrefillers",
                        parameter: "x-prefiller-host-port")
                }
                first = first ?? target
            }
        }
        return first
    }

    private static func endpoint(_ text: Substring) -> Endpoint? {
        guard text.utf8.count <= 260, let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (1...65535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.first == "[" {
            guard host.last == "]" else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F && $0 != 0x40 }) else {
            return nil
        }
        return Endpoint(host: String(host), port: port)
    }
}

extension Substring {
    /// Without spaces and tabs around it.
    fileprivate func trimming() -> Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text = text.dropFirst() }
        while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
        return text
    }
}
