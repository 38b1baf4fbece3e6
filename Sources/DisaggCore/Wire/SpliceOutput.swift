internal import NIOCore

/// Writes a spliced object: one text takes all that is new or short, and long runs are slices put between its parts.
struct SpliceOutput {
    /// A kept run shorter than this is copied: one piece less to send.
    static let shortestSlice = 1024

    /// A slice, and where in the text it belongs.
    struct Cut {
        var at: Int
        var slice: ByteBuffer
    }

    private let body: ByteBuffer
    private var isFirst = true
    private(set) var cuts: [Cut] = []

    init(body: ByteBuffer) { self.body = body }

    /// Appends members as they are.
    ///
    /// - Parameter bytes: those of the body.
    mutating func keep(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer, to text: inout TextWriter) {
        if !isFirst { text.write(UInt8(ascii: ",")) }
        isFirst = false
        if range.count < Self.shortestSlice {
            text.write(UnsafeRawBufferPointer(rebasing: bytes[range]))
        } else if let slice = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count) {
            insert(slice, in: text)
        }
    }

    /// Appends a member's name; its value comes next.
    mutating func name(_ name: StaticString, to text: inout TextWriter) {
        if !isFirst { text.write(UInt8(ascii: ",")) }
        isFirst = false
        text.write(UInt8(ascii: "\""))
        text.write(name)
        text.write(UInt8(ascii: "\""))
        text.write(UInt8(ascii: ":"))
    }

    /// Appends bytes without a copy.
    mutating func insert(_ slice: ByteBuffer, in text: TextWriter) { cuts.append(Cut(at: text.count, slice: slice)) }

    /// The text cut into pieces, with the slices between them.
    func pieces(of text: ByteBuffer) -> [ByteBuffer] {
        if cuts.isEmpty { return [text] }
        var pieces: [ByteBuffer] = []
        pieces.reserveCapacity(2 * cuts.count + 1)
        var start = 0
        for cut in cuts {
            if cut.at > start, let part = text.getSlice(at: start, length: cut.at - start) { pieces.append(part) }
            pieces.append(cut.slice)
            start = cut.at
        }
        if let part = text.getSlice(at: start, length: text.writerIndex - start) { pieces.append(part) }
        return pieces
    }
}
