/// Cuts a peer's byte stream into its greeting and its frames, however the stream is split. No sockets.
///
/// Feed bytes with ``append(_:)``, then call ``next()`` until it returns nil. What cannot become a greeting or a frame
/// is refused with its first wrong byte, not only when it is complete. The decoder holds at most one frame and what was
/// appended last.
package struct ZMTPDecoder: Sendable {
    /// What a stream consists of.
    package enum Element: Equatable, Sendable {
        /// The peer's greeting; first and once.
        case greeting
        /// A command: its frame's body.
        case command([UInt8])
        /// One frame of a message; `more` where another follows.
        case message([UInt8], more: Bool)
    }

    /// An idle connection keeps no more than this; bursts are given back.
    private static let keptCapacityBytes = 1 << 10

    private var buffer: [UInt8] = []
    private var head = 0
    private var greeted = false

    private let maximumFrameBytes: Int

    /// - Parameter maximumFrameBytes: a longer frame is refused.
    package init(maximumFrameBytes: Int = ZMTP.maximumFrameBytes) { self.maximumFrameBytes = maximumFrameBytes }

    /// How many bytes wait for the rest of their greeting or frame.
    package var pendingBytes: Int { buffer.count - head }

    /// Takes bytes as they came from the network.
    package mutating func append(_ bytes: some Sequence<UInt8>) {
        buffer.append(contentsOf: bytes)
    }

    /// The next complete element, nil where more bytes are needed. After an error the stream has no more meaning.
    package mutating func next() throws(ZMTPError) -> Element? {
        let element = greeted ? try nextFrame() : try nextGreeting()
        if element == nil { compact() }
        return element
    }

    private mutating func compact() {
        guard head > 0 else { return }
        if head == buffer.count, buffer.capacity > Self.keptCapacityBytes {
            buffer = []
        } else {
            buffer.removeFirst(head)
        }
        head = 0
    }

    /// Judges each field as soon as it is there. The padding is free (RFC 37, section 3.1): libzmq puts a length into it.
    private mutating func nextGreeting() throws(ZMTPError) -> Element? {
        let bytes = buffer[head...]
        if let first = bytes.first, first != 0xFF { throw .badSignature }
        if pendingBytes >= 10, buffer[head + 9] & 1 == 0 { throw .badSignature }
        if pendingBytes >= 11, buffer[head + 10] < 3 { throw .unsupportedVersion(buffer[head + 10]) }
        if pendingBytes >= 32 {
            guard buffer[head + 12..<head + 32].elementsEqual(ZMTP.greeting[12..<32]) else {
                throw .unsupportedMechanism
            }
        }
        guard pendingBytes >= ZMTP.greetingBytes else { return nil }
        head += ZMTP.greetingBytes
        greeted = true
        return .greeting
    }

    private mutating func nextFrame() throws(ZMTPError) -> Element? {
        guard pendingBytes >= 1 else { return nil }
        let flags = buffer[head]
        let command = flags & ZMTP.Flag.command != 0
        let more = flags & ZMTP.Flag.more != 0
        guard flags & ~(ZMTP.Flag.more | ZMTP.Flag.long | ZMTP.Flag.command) == 0, !(command && more) else {
            throw .badFlags(flags)
        }
        let sizeBytes = flags & ZMTP.Flag.long != 0 ? 8 : 1
        guard pendingBytes >= 1 + sizeBytes else { return nil }
        let size = buffer[head + 1..<head + 1 + sizeBytes].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard size <= UInt64(maximumFrameBytes) else { throw .frameTooLarge(size) }
        let count = Int(size)
        guard pendingBytes >= 1 + sizeBytes + count else { return nil }
        let start = head + 1 + sizeBytes
        head = start + count
        let body = Array(buffer[start..<head])
        return command ? .command(body) : .message(body, more: more)
    }
}
