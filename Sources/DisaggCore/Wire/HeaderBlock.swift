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
        let wanted = name.lowercased()
        return bytes.withUnsafeReadableBytes { raw in
            fields.first { String(decoding: raw[$0.name], as: UTF8.self).lowercased() == wanted }
                .map { String(decoding: raw[$0.value], as: UTF8.self) }
        }
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
    /// - Parameter forwards: one of ``HeaderPolicy``'s rules; gets the bytes and the place of a name.
    @inline(__always)
    package func writeForwarded(
        to lines: inout ByteBuffer, where forwards: (UnsafeRawBufferPointer, Range<Int>) -> Bool
    ) {
        bytes.withUnsafeReadableBytes { raw in
            let listed = fields.filter { HTTPFieldSyntax.equals(raw, $0.name, "connection") }
            for field in fields where forwards(raw, field.name) {
                if listed.contains(where: { HeaderPolicy.lists(raw, $0.value, raw[field.name]) }) { continue }
                lines.writeBytes(UnsafeRawBufferPointer(rebasing: raw[field.name]))
                lines.writeStaticString(": ")
                lines.writeBytes(UnsafeRawBufferPointer(rebasing: raw[field.value]))
                lines.writeStaticString("\r\n")
            }
        }
    }

    /// Bytes of names and values.
    package var byteCount: Int { bytes.readableBytes }
}
