/// A place in a YAML text, as editors count: both numbers start at 1.
package struct YAMLMark: Sendable, Hashable {
    /// Line, from 1.
    package var line: Int
    /// Column in characters, from 1.
    package var column: Int

    /// The start of a text.
    package static let start = YAMLMark(line: 1, column: 1)
}

/// One value of a YAML document, with the place it was read from.
///
/// Scalars keep their text: what `8100` or `yes` means is the reader's business, so that no YAML 1.1 rule (`on`,
/// `0777`, `1e9`) changes a value behind the user's back.
package struct YAMLNode: Sendable, Hashable {
    /// One key and value of a mapping.
    package struct Member: Sendable, Hashable {
        /// The key's text.
        package var key: String
        /// Where the key stands.
        package var keyMark: YAMLMark
        /// The value.
        package var value: YAMLNode
    }

    /// What a node is.
    package enum Content: Sendable, Hashable {
        /// Text; `plain` where it was written without quotes.
        case scalar(String, plain: Bool)
        /// A list.
        case sequence([YAMLNode])
        /// Keys and values in the text's order; keys are unique.
        case mapping([Member])
    }

    /// What the node is.
    package var content: Content
    /// Where the node starts.
    package var mark: YAMLMark

    /// Whether the node is an unquoted null: nothing, `~` or `null`.
    package var isNull: Bool {
        guard case .scalar(let text, plain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// What the node is, in words for an error message.
    package var summary: String {
        switch content {
        case .scalar(let text, _): isNull ? "nothing" : "\"\(text.count > 60 ? text.prefix(60) + "…" : text)\""
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}
