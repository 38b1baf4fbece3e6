/// One header field, as offsets into the bytes it was found in.
package struct ScannedField: Sendable, Equatable {
    package var name: Range<Int>
    /// Without the white space around it.
    package var value: Range<Int>
}
