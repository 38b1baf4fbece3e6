/// One side of a ZMTP connection as a machine: bytes in, messages and replies out. No sockets, no clock.
///
/// | state            | input                    | result                                     |
/// |------------------|--------------------------|--------------------------------------------|
/// | awaitingGreeting | greeting                 | reply `READY`; awaitingReady               |
/// | awaitingReady    | `READY`, matching type   | established                                |
/// | awaitingReady    | anything else            | error                                      |
/// | established      | a message of one frame   | message                                    |
/// | established      | a message of more frames | drained, multipart at its last frame       |
/// | established      | `PING`                   | reply `PONG` with its context              |
/// | established      | `ERROR`                  | error                                      |
/// | established      | another command          | ignored, as libzmq does                    |
/// | failed           | anything                 | nothing                                    |
///
/// Send ``opening`` when the connection stands: both peers send their greeting at once (RFC 37, section 3.1).
package struct ZMTPConnection: Sendable {
    /// What the peer's bytes amount to.
    package enum Event: Equatable, Sendable {
        /// The handshake is complete; messages may be sent.
        case established
        /// A message of exactly one frame.
        case message([UInt8])
        /// A message of several frames ended; its content was dropped.
        case multipart
        /// A message of several frames, where they are wanted.
        case parts([[UInt8]])
        /// Send these bytes to the peer.
        case reply([UInt8])
    }

    private enum State { case awaitingGreeting, awaitingReady, established, failed }

    private let local: ZMTP.SocketType
    private var state = State.awaitingGreeting
    private var decoder: ZMTPDecoder
    private var insideMultipart = false
    private let keepsParts: Bool
    private let maximumMessageBytes: Int
    private var parts: [[UInt8]] = []
    private var partBytes = 0

    /// Creates a machine for a socket of that type.
    ///
    /// - Parameters:
    ///   - maximumFrameBytes: a longer frame, or a longer message of several, ends the connection.
    ///   - keepsParts: whether messages of several frames are wanted.
    package init(
        local: ZMTP.SocketType, maximumFrameBytes: Int = ZMTP.maximumFrameBytes, keepsParts: Bool = false
    ) {
        self.local = local
        self.keepsParts = keepsParts
        maximumMessageBytes = maximumFrameBytes
        decoder = ZMTPDecoder(maximumFrameBytes: maximumFrameBytes)
    }

    /// The bytes to send first.
    package var opening: [UInt8] { ZMTP.greeting }

    /// Whether the handshake is complete.
    package var isEstablished: Bool { state == .established }

    /// Takes bytes as they came from the network.
    package mutating func append(_ bytes: some Sequence<UInt8>) {
        if state != .failed { decoder.append(bytes) }
    }

    /// The next event, nil where more bytes are needed.
    ///
    /// - Throws: ``ZMTPError`` once; the machine has failed then and returns nil for ever.
    package mutating func next() throws(ZMTPError) -> Event? {
        guard state != .failed else { return nil }
        do throws(ZMTPError) {
            while let element = try decoder.next() {
                if let event = try handle(element) { return event }
            }
            return nil
        } catch {
            fail()
            throw error
        }
    }

    /// Says that the peer sends no more.
    ///
    /// - Returns: ``ZMTPError/truncated`` where it stopped inside something; nil where it stopped between messages, or
    ///   before its first byte, as a port probe does.
    package mutating func inputClosed() -> ZMTPError? {
        defer { fail() }
        guard state != .failed else { return nil }
        return decoder.pendingBytes > 0 || insideMultipart || state == .awaitingReady ? .truncated : nil
    }

    private mutating func fail() {
        state = .failed
        decoder = ZMTPDecoder()
    }

    private mutating func handle(_ element: ZMTPDecoder.Element) throws(ZMTPError) -> Event? {
        switch (state, element) {
        case (.awaitingGreeting, .greeting):
            state = .awaitingReady
            return .reply(ZMTP.ready(local))
        case (.awaitingReady, .command(let body)):
            let (name, data) = try Self.splitCommand(body)
            if name.elementsEqual("ERROR".utf8) { throw .refusedByPeer }
            guard name.elementsEqual("READY".utf8) else { throw .notReady }
            guard try Self.socketType(data) == local.peer else { throw .incompatiblePeer }
            state = .established
            return .established
        case (.established, .command(let body)):
            return try handleCommand(body)
        case (.established, .message(let body, let more)):
            if keepsParts, more || insideMultipart {
                partBytes += body.count
                guard partBytes <= maximumMessageBytes else { throw .frameTooLarge(UInt64(partBytes)) }
                parts.append(body)
                insideMultipart = more
                guard !more else { return nil }
                defer {
                    parts = []
                    partBytes = 0
                }
                return .parts(parts)
            }
            if more {
                insideMultipart = true
                return nil
            }
            if insideMultipart {
                insideMultipart = false
                return .multipart
            }
            return .message(body)
        case (.awaitingGreeting, _), (.awaitingReady, _), (.established, .greeting): throw .notReady
        case (.failed, _): return nil
        }
    }

    private func handleCommand(_ body: [UInt8]) throws(ZMTPError) -> Event? {
        let (name, data) = try Self.splitCommand(body)
        if name.elementsEqual("ERROR".utf8) { throw .refusedByPeer }
        guard name.elementsEqual("PING".utf8) else { return nil }
        // The first two bytes are the peer's time to live.
        guard data.count >= 2 else { throw .malformedCommand }
        return .reply(ZMTP.command("PONG", data.dropFirst(2).prefix(ZMTP.maximumPingContextBytes)))
    }

    private static func splitCommand(
        _ body: [UInt8]
    ) throws(ZMTPError) -> (name: ArraySlice<UInt8>, data: ArraySlice<UInt8>) {
        guard let length = body.first, length > 0, Int(length) < body.count else { throw .malformedCommand }
        return (body[1...Int(length)], body[(Int(length) + 1)...])
    }

    /// The `Socket-Type` of `READY`'s properties; nil where it is missing or unknown here. Names ignore case.
    private static func socketType(_ data: ArraySlice<UInt8>) throws(ZMTPError) -> ZMTP.SocketType? {
        var rest = data
        var type: ZMTP.SocketType?
        while let nameLength = rest.popFirst() {
            let name = rest.prefix(Int(nameLength))
            rest = rest.dropFirst(Int(nameLength))
            let sizeField = rest.prefix(4)
            rest = rest.dropFirst(4)
            guard nameLength > 0, name.count == Int(nameLength), sizeField.count == 4 else { throw .malformedCommand }
            let size = sizeField.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard size <= UInt64(rest.count) else { throw .malformedCommand }
            let value = rest.prefix(Int(size))
            rest = rest.dropFirst(Int(size))
            if String(decoding: name, as: UTF8.self).lowercased() == "socket-type" {
                type = ZMTP.SocketType(rawValue: String(decoding: value, as: UTF8.self))
            }
        }
        return type
    }
}
