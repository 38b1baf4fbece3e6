/// Follows HTTP/1.1 chunked framing without copying: it says which bytes are payload and where the message ends.
///
/// Incremental: a body may be split at any byte. Source of the grammar: RFC 9112 §7.1.
package struct ChunkScanner: Sendable {
    /// What a scan found.
    package enum Outcome: Sendable, Equatable {
        /// All bytes belong to the body, more will come.
        case needsMore
        /// The body ended; that many bytes belonged to it.
        case complete(consumed: Int)
        /// The framing is broken; the connection cannot be used further.
        case malformed
    }

    private enum State: UInt8 {
        case size, sizeExtension, sizeLineFeed, data, dataCarriageReturn, dataLineFeed
        case trailerStart, trailer, trailerLineFeed, finalLineFeed, done
    }

    private var state = State.size
    private var remaining = 0
    private var digits = 0
    /// The last four payload bytes, the newest one lowest.
    private var tail: UInt32 = 0
    /// Offset in the bytes last scanned after which no event is cut: the end of a chunk whose payload ends an event.
    package private(set) var eventBoundary = 0
    /// Chunks that ended so far. Engines send each event of a stream as a chunk of its own.
    package private(set) var chunks = 0
    /// Bytes of trailers or of one chunk's extension seen; bounded, for they have no use here.
    private var overhead = 0

    /// A scanner at the start of a body.
    package init() {}

    /// Scans the next bytes of the body.
    ///
    /// - Parameter payload: called with each run of payload bytes, as offsets into `bytes`.
    @inline(__always)
    package mutating func scan(_ bytes: UnsafeRawBufferPointer, payload: (Range<Int>) -> Void) -> Outcome {
        var index = 0
        eventBoundary = 0
        while index < bytes.count {
            // Mostly a read holds whole chunks. All else, faults included, is left to the steps below.
            if state == .size, digits == 0, let chunk = Self.wholeChunk(bytes, index) {
                payload(chunk)
                noteTail(bytes, chunk)
                index = chunk.upperBound &+ 2
                chunks &+= 1
                if endsEvent { eventBoundary = index }
                continue
            }
            switch state {
            case .data:
                let count = min(remaining, bytes.count - index)
                payload(index..<index + count)
                noteTail(bytes, index..<index + count)
                index += count
                remaining -= count
                if remaining == 0 { state = .dataCarriageReturn }
            case .done:
                return .complete(consumed: index)
            default:
                let endsChunk = state == .dataLineFeed
                guard step(bytes[index]) else { return .malformed }
                index += 1
                if endsChunk {
                    chunks &+= 1
                    if endsEvent { eventBoundary = index }
                }
                if state == .done { return .complete(consumed: index) }
            }
        }
        return .needsMore
    }

    /// Whether the payload so far ends an event: with an empty line, ended by LF or CRLF.
    private var endsEvent: Bool { tail & 0xFFFF == 0x0A0A || tail & 0xFF_FFFF == 0x0A0D0A }

    @inline(__always)
    private mutating func noteTail(_ bytes: UnsafeRawBufferPointer, _ payload: Range<Int>) {
        if payload.count >= 4 {
            tail = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: payload.upperBound &- 4, as: UInt32.self))
        } else {
            for offset in payload { tail = tail << 8 | UInt32(bytes[offset]) }
        }
    }

    /// The payload of a chunk that begins at `start`, where the whole chunk is there, is not empty and has no extension.
    @inline(__always)
    private static func wholeChunk(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Range<Int>? {
        var index = start
        var size = 0
        // Seven digits are more than a read holds.
        let longest = min(bytes.count, start &+ 7)
        while index < longest, let digit = hexValue(bytes[index]) {
            size = size &<< 4 | digit
            index &+= 1
        }
        let first = index &+ 2
        let end = first &+ size
        guard size > 0, end &+ 2 <= bytes.count else { return nil }
        guard bytes[index] == 0x0D, bytes[index &+ 1] == 0x0A, bytes[end] == 0x0D, bytes[end &+ 1] == 0x0A else {
            return nil
        }
        return first..<end
    }

    /// Takes one byte outside of payload; false where the framing is broken.
    private mutating func step(_ byte: UInt8) -> Bool {
        switch state {
        case .size:
            if let digit = Self.hexValue(byte) {
                // 15 digits stay within Int and are more than any chunk.
                guard digits < 15 else { return false }
                remaining = remaining << 4 | digit
                digits += 1
                return true
            }
            guard digits > 0 else { return false }
            if byte == 0x0D {
                state = .sizeLineFeed
                return true
            }
            state = .sizeExtension
            return byte == UInt8(ascii: ";") || byte == 0x20 || byte == 0x09
        case .sizeExtension:
            overhead += 1
            if byte == 0x0D { state = .sizeLineFeed }
            return overhead < 16384 && byte != 0x0A
        case .sizeLineFeed:
            digits = 0
            overhead = 0
            state = remaining == 0 ? .trailerStart : .data
            return byte == 0x0A
        case .dataCarriageReturn:
            state = .dataLineFeed
            return byte == 0x0D
        case .dataLineFeed:
            state = .size
            return byte == 0x0A
        case .trailerStart:
            state = byte == 0x0D ? .finalLineFeed : .trailer
            return byte != 0x0A
        case .trailer:
            overhead += 1
            if byte == 0x0D { state = .trailerLineFeed }
            return overhead < 16384 && byte != 0x0A
        case .trailerLineFeed:
            state = .trailerStart
            return byte == 0x0A
        case .finalLineFeed:
            state = .done
            return byte == 0x0A
        case .data, .done:
            return false
        }
    }

    @inline(__always)
    private static func hexValue(_ byte: UInt8) -> Int? {
        let digit = byte &- 0x30
        if digit < 10 { return Int(digit) }
        let letter = (byte | 0x20) &- UInt8(ascii: "a")
        return letter < 6 ? Int(letter) &+ 10 : nil
    }
}
