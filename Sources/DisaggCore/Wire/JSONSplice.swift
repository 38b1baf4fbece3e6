package import NIOCore

/// A change to the top-level members of a JSON object that leaves every other byte as it is.
///
/// A member that exists keeps its place when it is set; a new one stands at the end. Of two edits of one name the later
/// one counts.
package struct JSONSplice: Sendable {
    private enum Value: Sendable {
        case removed
        case literal(StaticString)
        case number(Int)
        /// Bytes of ``written``.
        case written(Range<Int>)
        /// One of ``large``, and behind it bytes of ``written``.
        case large(Int, Range<Int>)
    }

    private struct Edit: Sendable {
        var name: StaticString
        var value: Value
        /// A name that is not there is not added.
        var onlyReplaces: Bool
        /// Rules out nearly all members; see ``JSONSplice/key(_:_:)``.
        let key: Int

        init(_ name: StaticString, _ value: Value, onlyReplaces: Bool = false) {
            self.name = name
            self.value = value
            self.onlyReplaces = onlyReplaces
            let length = name.utf8CodeUnitCount
            key = JSONSplice.key(length, length == 0 ? 0 : name.utf8Start[0])
        }
    }

    /// A number that equal names share.
    private static func key(_ length: Int, _ first: UInt8) -> Int { length << 8 | Int(first) }

    private var edits: [Edit] = []
    /// A bit for the length of each edit's name, modulo 64.
    private var lengths: UInt64 = 0
    /// Values that were made for this splice, one behind the other.
    private var written = ByteBuffer()
    /// Values that are not copied.
    private var large: [ByteBuffer] = []

    /// A splice that changes nothing.
    package init() {}

    /// A splice that removes the members of these names.
    package init(removing names: [StaticString]) { for name in names { remove(name) } }

    // MARK: Edits

    private mutating func add(_ edit: Edit) {
        edits.append(edit)
        lengths |= 1 &<< UInt64(truncatingIfNeeded: edit.name.utf8CodeUnitCount & 63)
    }

    /// Removes every member of that name.
    package mutating func remove(_ name: StaticString) { add(Edit(name, .removed)) }

    /// Sets a member to a value given as JSON text; of a name given twice only the last occurrence stays.
    ///
    /// - Parameter onlyReplacing: leaves a member that is not there away.
    package mutating func set(_ name: StaticString, literal: StaticString, onlyReplacing: Bool = false) {
        add(Edit(name, .literal(literal), onlyReplaces: onlyReplacing))
    }

    /// Sets a member to a number.
    package mutating func set(_ name: StaticString, number: Int) {
        add(Edit(name, .number(number)))
    }

    /// Sets a member to the JSON text that `write` appends.
    package mutating func set(_ name: StaticString, write: (inout TextWriter) -> Void) {
        add(Edit(name, .written(writing(write))))
    }

    /// Sets a member to a large value that is sent as it is.
    package mutating func set(_ name: StaticString, large value: ByteBuffer) {
        add(Edit(name, .large(large.count, 0..<0)))
        large.append(value)
    }

    /// Sets a member to a large value that is sent as it is, followed by what `write` appends.
    package mutating func set(_ name: StaticString, large value: ByteBuffer, write: (inout TextWriter) -> Void) {
        add(Edit(name, .large(large.count, writing(write))))
        large.append(value)
    }

    /// Sets a member to a value given as JSON text.
    package mutating func set(_ name: StaticString, json: [UInt8]) {
        set(name) { text in json.withUnsafeBytes { text.write($0) } }
    }

    /// Sets a member to a value given as JSON text.
    package mutating func set(_ name: StaticString, json: String) { set(name) { $0.write(json) } }

    private mutating func writing(_ write: (inout TextWriter) -> Void) -> Range<Int> {
        let start = written.writerIndex
        written.writeText(reserving: 256, write)
        return start..<max(start, written.writerIndex)
    }

    // MARK: Applying them

    /// The spliced object as buffers to be sent one after another; long runs that are kept are slices of `body`.
    package func apply(to body: ByteBuffer, _ table: JSONMemberTable) -> [ByteBuffer] {
        guard !edits.isEmpty else { return [body] }
        let members = table.members
        return body.withUnsafeReadableBytes { bytes in
            // For each member the edit that touches it, then for each edit the last member it touches: -1 for none.
            withUnsafeTemporaryAllocation(of: Int.self, capacity: members.count + edits.count) { places in
                places.initialize(repeating: -1)
                var changes = false
                for index in members.indices {
                    guard let edit = edit(touching: members[index], bytes) else { continue }
                    places[index] = edit
                    places[members.count + edit] = index
                    changes = true
                }
                for index in edits.indices where places[members.count + index] < 0 && adds(index) { changes = true }
                return changes ? splice(body, bytes, members, places) : [body]
            }
        }
    }

    private func splice(
        _ body: ByteBuffer, _ bytes: UnsafeRawBufferPointer, _ members: [JSONMemberTable.Member],
        _ places: UnsafeMutableBufferPointer<Int>
    ) -> [ByteBuffer] {
        var text = ByteBuffer()
        var output = SpliceOutput(body: body)
        let capacity = written.readableBytes + 32 * edits.count + min(body.readableBytes, SpliceOutput.shortestSlice)
        text.writeText(reserving: capacity) { text in
            output = SpliceOutput(body: body)
            text.write(UInt8(ascii: "{"))
            var index = 0
            while index < members.count {
                let edit = places[index]
                if edit >= 0 {
                    if places[members.count + edit] == index { write(edits[edit], to: &output, &text) }
                    index += 1
                    continue
                }
                var last = index
                while last + 1 < members.count, places[last + 1] < 0 { last += 1 }
                output.keep(members[index].name.lowerBound..<members[last].value.upperBound, bytes, to: &text)
                index = last + 1
            }
            for index in edits.indices where places[members.count + index] < 0 && adds(index) {
                write(edits[index], to: &output, &text)
            }
            text.write(UInt8(ascii: "}"))
        }
        return output.pieces(of: text)
    }

    /// The spliced object in one piece, for small texts; nil where `body` is no JSON object.
    package func applied(to body: ByteBuffer) -> ByteBuffer? {
        guard let table = try? JSONMemberTable(scanning: body) else { return nil }
        let pieces = apply(to: body, table)
        guard pieces.count > 1, let first = pieces.first else { return pieces.first }
        return pieces.dropFirst().reduce(into: first) { $0.writeImmutableBuffer($1) }
    }

    /// The spliced object as one array, for small texts.
    package func applied(to bytes: [UInt8]) -> [UInt8]? {
        applied(to: ByteBuffer(bytes: bytes)).map { Array($0.readableBytesView) }
    }

    private func write(_ edit: Edit, to output: inout SpliceOutput, _ text: inout TextWriter) {
        if case .removed = edit.value { return }
        output.name(edit.name, to: &text)
        switch edit.value {
        case .removed: break
        case .literal(let literal): text.write(literal)
        case .number(let number): text.writeDecimal(number)
        case .written(let range): write(range, to: &text)
        case .large(let index, let range):
            output.insert(large[index], in: text)
            write(range, to: &text)
        }
    }

    private func write(_ range: Range<Int>, to text: inout TextWriter) {
        written.withUnsafeReadableBytes { text.write(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The edit that a member is subject to.
    private func edit(touching member: JSONMemberTable.Member, _ bytes: UnsafeRawBufferPointer) -> Int? {
        let length = member.name.count &- 2
        guard member.nameHasEscapes || lengths &>> UInt64(truncatingIfNeeded: length & 63) & 1 == 1 else { return nil }
        let key = Self.key(length, length == 0 ? 0 : bytes[member.name.lowerBound + 1])
        return edits.withUnsafeBufferPointer { edits in
            var index = edits.count
            while index > 0 {
                index -= 1
                guard edits[index].key == key || member.nameHasEscapes else { continue }
                if JSONMemberTable.matches(member, edits[index].name, bytes) { return index }
            }
            return nil
        }
    }

    /// Whether an edit that touches no member adds one.
    private func adds(_ index: Int) -> Bool {
        let edit = edits[index]
        if case .removed = edit.value { return false }
        return !edit.onlyReplaces && !edits[(index + 1)...].contains { Self.same($0.name, edit.name) }
    }

    private static func same(_ left: StaticString, _ right: StaticString) -> Bool {
        left.utf8CodeUnitCount == right.utf8CodeUnitCount
            && ByteBlock.isEqual(UnsafeRawBufferPointer(start: left.utf8Start, count: left.utf8CodeUnitCount), 0, right)
    }
}
