/// Skipping objects and arrays.
extension JSONScanner {
    /// Skips elements of an array, from the one due at `start` on, as far as they are integers in blocks of sixteen bytes.
    ///
    /// A prompt of token ids is thousands of them. A byte of such a list is judged by the two ahead of it: so sixteen are
    /// judged at once, and what is not plainly right, and every error, is left to the walk over single values.
    ///
    /// - Parameter start: an element that is not the array's first one: so two bytes ahead of it are in the text.
    /// - Returns: the offset of the first element that was not skipped, or where white space ahead of it begins.
    @inline(__always)
    private static func skipIntegers(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        guard start < bytes.count, isDigit(bytes[start]) || bytes[start] == UInt8(ascii: "-") else { return start }
        var index = start
        // Engines write no space behind a comma.
        while index &+ 2 &* ByteBlock.count <= bytes.count,
            !ByteBlock.isAny(.!(compactIntegers(bytes, index) .& compactIntegers(bytes, index &+ ByteBlock.count)))
        {
            index &+= 2 &* ByteBlock.count
        }
        while index &+ ByteBlock.count <= bytes.count {
            let block = ByteBlock.load(bytes, index)
            let ahead = ByteBlock.load(bytes, index &- 1)
            let leadingZero =
                ByteBlock.equal(ahead, 0x30) .& .!ByteBlock.digits(ByteBlock.load(bytes, index &- 2))
            let behindComma = ByteBlock.equal(ahead, UInt8(ascii: ","))
            let digit = ByteBlock.digits(block) .& .!leadingZero
            let comma = ByteBlock.equal(block, UInt8(ascii: ",")) .& ByteBlock.digits(ahead)
            let space = ByteBlock.equal(block, 0x20) .& behindComma
            let minus = ByteBlock.equal(block, UInt8(ascii: "-")) .& (behindComma .| ByteBlock.equal(ahead, 0x20))
            let lane = ByteBlock.first(.!(digit .| comma .| space .| minus))
            index &+= lane
            if lane < ByteBlock.count { break }
        }
        // The number that the blocks ended in is walked over once more.
        while index > start, isDigit(bytes[index &- 1]) || bytes[index &- 1] == UInt8(ascii: "-") { index &-= 1 }
        return index
    }

    /// The lanes of a block that are right in a list of integers without spaces and signs.
    @inline(__always)
    private static func compactIntegers(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> ByteBlock.Mask {
        let block = ByteBlock.load(bytes, index)
        let ahead = ByteBlock.load(bytes, index &- 1)
        let leadingZero = ByteBlock.equal(ahead, 0x30) .& .!ByteBlock.digits(ByteBlock.load(bytes, index &- 2))
        return ByteBlock.digits(block) .& .!leadingZero
            .| ByteBlock.equal(block, UInt8(ascii: ",")) .& ByteBlock.digits(ahead)
    }

    /// Objects and arrays without recursion: one bit a level says which of the two is open.
    static func skipContainer(_ bytes: UnsafeRawBufferPointer, _ start: Int) throws(JSONSyntaxError) -> Int {
        var index = start
        var depth = 0
        // The innermost level is the lowest bit of the first; 128 are more than the deepest nesting.
        var objects: (UInt64, UInt64) = (0, 0)
        while true {
            // Here a value is due at `index`.
            index = skipWhitespace(bytes, index)
            guard index < bytes.count else { throw JSONSyntaxError(reason: "a value is missing", offset: index) }
            let byte = bytes[index]
            if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
                let object = byte == UInt8(ascii: "{")
                guard depth < maximumDepth else { throw JSONSyntaxError(reason: "nested too deeply", offset: index) }
                depth &+= 1
                objects = (objects.0 &<< 1 | (object ? 1 : 0), objects.1 &<< 1 | objects.0 &>> 63)
                index = skipWhitespace(bytes, index &+ 1)
                guard index < bytes.count else { throw unclosed(object, start) }
                if bytes[index] != (object ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    if object { index = try skipKey(bytes, index) }
                    continue
                }
                index &+= 1
                depth &-= 1
                if depth == 0 { return index }
                objects = (objects.0 &>> 1 | objects.1 &<< 63, objects.1 &>> 1)
            } else {
                index = try skipScalar(bytes, index)
            }
            // A value has ended: a comma, or the end of one or more containers.
            while true {
                let object = objects.0 & 1 == 1
                index = skipWhitespace(bytes, index)
                guard index < bytes.count else { throw unclosed(object, start) }
                if bytes[index] == UInt8(ascii: ",") {
                    index = skipWhitespace(bytes, index &+ 1)
                    index = object ? try skipKey(bytes, index) : skipIntegers(bytes, index)
                    break
                }
                guard bytes[index] == (object ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                    throw JSONSyntaxError(reason: "expected a comma or a closing bracket", offset: index)
                }
                index &+= 1
                depth &-= 1
                if depth == 0 { return index }
                objects = (objects.0 &>> 1 | objects.1 &<< 63, objects.1 &>> 1)
            }
        }
    }

    private static func unclosed(_ object: Bool, _ start: Int) -> JSONSyntaxError {
        JSONSyntaxError(reason: object ? "an object is not closed" : "an array is not closed", offset: start)
    }
}
