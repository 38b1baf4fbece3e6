/// Why a text is not the YAML this package reads.
package struct YAMLError: Error, Sendable, Hashable {
    /// Where.
    package var mark: YAMLMark
    /// What was found and what is expected, in lower case.
    package var message: String
}
