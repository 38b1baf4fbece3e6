package import NIOCore

/// Header fields as they came over the wire: their bytes, and where each name and value lies in them.
package struct HeaderBlock: Sendable {
    private var bytes: ByteBuffer
    private var fields: [ScannedField]

    /// No fields.
    package init() {
        bytes = ByteBuffer()
        fields = []
    }

    /// The fields of a scanned head.
    ///
    /// - Parameter bytes: what the fields' offsets count in.
    package init(bytes: ByteBuffer, fields: [ScannedField]) {
        self.bytes = bytes
        self.fields = fields
    }

    /// Appends a field.
    package mutating func add(name: String, value: String) {
        let start = bytes.readableBytes
        let nameLength = bytes.writeString(name)
        let valueLength = bytes.writeString(value)
        fields.append(
            ScannedField(
                name: start..<start + nameLength,
                value: start + nameLength..<start + nameLength + valueLength))
    }

    /// The value of the first field with a name given in lower case.
    package func first(_ name: StaticString) -> String? {
        bytes.withUnsafeReadableBytes { raw in
            fields.first { HTTPFieldSyntax.equals(raw, $0.name, name) }
                .map { String(decoding: raw[$0.value], as: UTF8.self) }
        }
    }

    /// The value of the first field with a name, upper case folded.
    package func value(named name: String) -> String? {
        withValue(of: name.lowercased()) { String(decoding: $0, as: UTF8.self) }
    }

    /// The values of all fields with a name given in lower case, in their order.
    package func all(_ name: StaticString) -> [String] {
        bytes.withUnsafeReadableBytes { raw in
            fields.filter { HTTPFieldSyntax.equals(raw, $0.name, name) }
                .map { String(decoding: raw[$0.value], as: UTF8.self) }
        }
    }

    /// Forgets the fields with these names, given in lower case.
    package mutating func remove(_ names: [String]) {
        bytes.withUnsafeReadableBytes { raw in
            fields.removeAll { names.contains(String(decoding: raw[$0.name], as: UTF8.self).lowercased()) }
        }
    }

    /// What `body` makes of the value of the first field with that name, given in lower case; nil where there is none.
    package func withValue<Result>(of name: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        bytes.withUnsafeReadableBytes { raw in
            let field = fields.first { field in
                field.name.count == name.utf8.count
                    && zip(raw[field.name], name.utf8).allSatisfy { $0 | (0x41...0x5A ~= $0 ? 0x20 : 0) == $1 }
            }
            return field.map { body(UnsafeRawBufferPointer(rebasing: raw[$0.value])) }
        }
    }

    /// Appends `name: value\r\n` lines of what the other side may see: the fields that `forwards` lets through, without
    /// those that a connection field names (RFC 9110 §7.6.1).
    ///
    /// Lines that stand one behind the other as they are to be written are copied at once.
    ///
    /// - Parameter forwards: one of ``HeaderPolicy``'s rules; gets the bytes and the place of a name.
    @inline(__always)
    func writeForwarded(
        to lines: inout TextWriter, where forwards: (UnsafeRawBufferPointer, Range<Int>) -> Bool
    ) {
        bytes.withUnsafeReadableBytes { raw in
            let namesFields = fields.contains { HeaderPolicy.namesFields(raw, $0) }
            var run = 0..<0
            for field in fields where forwards(raw, field.name) {
                if namesFields, isListed(raw, field.name) { continue }
                let line = Self.line(raw, field)
                if let line, line.lowerBound == run.upperBound {
                    run = run.lowerBound..<line.upperBound
                    continue
                }
                lines.write(UnsafeRawBufferPointer(rebasing: raw[run]))
                run = line ?? 0..<0
                guard line == nil else { continue }
                lines.write(UnsafeRawBufferPointer(rebasing: raw[field.name]))
                lines.write(": ")
                lines.write(UnsafeRawBufferPointer(rebasing: raw[field.value]))
                lines.write("\r\n")
            }
            lines.write(UnsafeRawBufferPointer(rebasing: raw[run]))
        }
    }

    /// Whether a connection field names this one.
    private func isListed(_ raw: UnsafeRawBufferPointer, _ name: Range<Int>) -> Bool {
        fields.contains { HeaderPolicy.namesFields(raw, $0) && HeaderPolicy.lists(raw, $0.value, raw[name]) }
    }

    /// Where a field stands as a whole line that can be copied; nil where it must be put together.
    @inline(__always)
    private static func line(_ raw: UnsafeRawBufferPointer, _ field: ScannedField) -> Range<Int>? {
        let end = field.value.upperBound &+ 2
        guard field.value.lowerBound == field.name.upperBound &+ 2, end <= raw.count,
            raw[field.name.upperBound] == UInt8(ascii: ":"), raw[field.name.upperBound &+ 1] == 0x20,
            raw[field.value.upperBound] == 0x0D, raw[field.value.upperBound &+ 1] == 0x0A
        else { return nil }
        return field.name.lowerBound..<end
    }

    /// Bytes of names and values.
    package var byteCount: Int { bytes.readableBytes }
}
