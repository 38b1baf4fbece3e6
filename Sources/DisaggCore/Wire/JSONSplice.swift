package import NIOCore

/// A change to the top-level members of a JSON object that leaves every other byte as it is.
///
/// A member that exists keeps its place when it is set; a new one stands at the end.
package struct JSONSplice: Sendable {
    private struct Edit: Sendable {
        var name: StaticString
        /// The new value's JSON text; nil removes the member.
        var json: [UInt8]?
    }

    private var edits: [Edit] = []

    /// A splice that changes nothing.
    package init() {}

    /// Removes every member of that name.
    package mutating func remove(_ name: StaticString) { edits.append(Edit(name: name, json: nil)) }

    /// Sets a member to a value given as JSON text; of a name given twice only the last occurrence stays.
    package mutating func set(_ name: StaticString, json: [UInt8]) { edits.append(Edit(name: name, json: json)) }

    /// Sets a member to a value given as JSON text.
    package mutating func set(_ name: StaticString, json: String) { set(name, json: Array(json.utf8)) }

    /// The spliced object as buffers to be sent one after another; kept runs are slices of `body`, not copies.
    package func apply(to body: ByteBuffer, _ table: JSONMemberTable) -> [ByteBuffer] {
        guard !edits.isEmpty else { return [body] }
        var output = Output(body: body)
        body.withUnsafeReadableBytes { bytes in
            var applied = [Bool](repeating: false, count: edits.count)
            // Which edit touches each member; the last occurrence of a name takes the new value.
            var editOfMember = [Int?](repeating: nil, count: table.members.count)
            for index in table.members.indices.reversed() {
                editOfMember[index] = edits.lastIndex {
                    JSONMemberTable.matches(table.members[index], $0.name, bytes)
                }
            }
            var keepValue = [Bool](repeating: false, count: table.members.count)
            for index in table.members.indices.reversed() {
                if let edit = editOfMember[index], edits[edit].json != nil, !applied[edit] {
                    applied[edit] = true
                    keepValue[index] = true
                }
            }
            var index = 0
            while index < table.members.count {
                if let edit = editOfMember[index] {
                    if keepValue[index], let json = edits[edit].json {
                        output.member(edits[edit].name, json)
                    }
                    index += 1
                    continue
                }
                var last = index
                while last + 1 < table.members.count, editOfMember[last + 1] == nil { last += 1 }
                output.original(table.members[index].name.lowerBound..<table.members[last].value.upperBound)
                index = last + 1
            }
            for (index, edit) in edits.enumerated() where !applied[index] {
                if let json = edit.json, edits.lastIndex(where: { Self.same($0.name, edit.name) }) == index {
                    output.member(edit.name, json)
                }
            }
        }
        return output.finish()
    }

    /// The spliced object as one array, for small texts.
    package func applied(to bytes: [UInt8]) -> [UInt8]? {
        let body = ByteBuffer(bytes: bytes)
        guard let table = try? JSONMemberTable(scanning: body) else { return nil }
        return apply(to: body, table).flatMap { Array($0.readableBytesView) }
    }

    private static func same(_ left: StaticString, _ right: StaticString) -> Bool {
        left.utf8CodeUnitCount == right.utf8CodeUnitCount && "\(left)" == "\(right)"
    }

    /// Collects slices of the original and new bytes in order.
    private struct Output {
        let body: ByteBuffer
        private var pieces: [ByteBuffer] = []
        private var fresh: [UInt8] = [UInt8(ascii: "{")]
        private var isFirst = true

        init(body: ByteBuffer) { self.body = body }

        private mutating func separate() {
            if !isFirst { fresh.append(UInt8(ascii: ",")) }
            isFirst = false
        }

        mutating func original(_ range: Range<Int>) {
            separate()
            pieces.append(ByteBuffer(bytes: fresh))
            fresh.removeAll(keepingCapacity: true)
            if let slice = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count) {
                pieces.append(slice)
            }
        }

        mutating func member(_ name: StaticString, _ json: [UInt8]) {
            separate()
            fresh.append(UInt8(ascii: "\""))
            fresh.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            fresh.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: ":")])
            fresh.append(contentsOf: json)
        }

        mutating func finish() -> [ByteBuffer] {
            fresh.append(UInt8(ascii: "}"))
            pieces.append(ByteBuffer(bytes: fresh))
            return pieces
        }
    }
}
