/// ZMTP 3.1, ZeroMQ's protocol over TCP, with the NULL mechanism: its constants and what a peer writes.
///
/// ```
/// greeting (64 bytes) = FF, 8 bytes padding, 7F, major, minor, mechanism (20, zero padded), as-server, 31 bytes zero
/// frame               = flags, size (1 byte, or 8 big-endian bytes where the LONG flag is set), body
/// command body        = name length (1), name, data
/// READY data          = { name length (1), name, value length (4, big-endian), value }
/// ```
/// Source: ZeroMQ RFC 37/ZMTP 3.1 (`rfc.zeromq.org/spec/37`); NULL mechanism: RFC 23/ZMTP 3.0.
package enum ZMTP {
    /// Length of a greeting.
    package static let greetingBytes = 64
    /// Longest frame body that is accepted. A `ProxyNotif` with a request id of 32 characters has 59 bytes.
    package static let maximumFrameBytes = 64 << 10
    /// Longest `PING` context a peer must echo (RFC 37, section 3.2.5).
    package static let maximumPingContextBytes = 16

    /// Bits of a frame's first byte; all others are reserved and zero.
    package enum Flag {
        /// Another frame of the same message follows.
        package static let more: UInt8 = 0x01
        /// The size has eight bytes.
        package static let long: UInt8 = 0x02
        /// The frame is a command, not part of a message.
        package static let command: UInt8 = 0x04
    }

    /// A socket's role, named as `READY` spells it.
    package enum SocketType: String, Sendable {
        case pull = "PULL"
        case push = "PUSH"
        case router = "ROUTER"
        case dealer = "DEALER"

        /// The one type that may be at the other end.
        package var peer: SocketType {
            switch self {
            case .pull: .push
            case .push: .pull
            case .router: .dealer
            case .dealer: .router
            }
        }
    }

    /// The 64 bytes that open a connection: version 3.1, mechanism NULL, not a server.
    package static var greeting: [UInt8] {
        var bytes: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, 3, 1]
        bytes.append(contentsOf: Array("NULL".utf8))
        bytes.append(contentsOf: repeatElement(0, count: greetingBytes - bytes.count))
        return bytes
    }

    /// The `READY` command with one property, `Socket-Type`.
    package static func ready(_ type: SocketType) -> [UInt8] {
        var data: [UInt8] = []
        let value = Array(type.rawValue.utf8)
        appendShortString("Socket-Type", to: &data)
        data.append(contentsOf: [0, 0, 0, UInt8(truncatingIfNeeded: value.count)])
        data.append(contentsOf: value)
        return command("READY", data)
    }

    /// A command frame.
    ///
    /// - Parameter name: at most 255 bytes; longer names are cut.
    package static func command(_ name: String, _ data: some Collection<UInt8>) -> [UInt8] {
        var body: [UInt8] = []
        appendShortString(name, to: &body)
        body.append(contentsOf: data)
        return frame(body, flags: Flag.command)
    }

    /// A message frame; `more` where another frame of the same message follows.
    package static func message(_ body: some Collection<UInt8>, more: Bool = false) -> [UInt8] {
        frame(body, flags: more ? Flag.more : 0)
    }

    private static func frame(_ body: some Collection<UInt8>, flags: UInt8) -> [UInt8] {
        let count = body.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 9)
        if let short = UInt8(exactly: count) {
            bytes.append(contentsOf: [flags, short])
        } else {
            bytes.append(flags | Flag.long)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: UInt64(count) >> UInt64(shift)))
            }
        }
        bytes.append(contentsOf: body)
        return bytes
    }

    private static func appendShortString(_ string: String, to bytes: inout [UInt8]) {
        let text = string.utf8.prefix(255)
        bytes.append(UInt8(truncatingIfNeeded: text.count))
        bytes.append(contentsOf: text)
    }
}

/// Why a peer's bytes are not ZMTP, or not ZMTP as this side speaks it. The connection cannot go on.
package enum ZMTPError: Error, Equatable, CustomStringConvertible {
    /// The first bytes are not a ZMTP signature: another protocol, or ZMTP 1.0.
    case badSignature
    /// The peer speaks an older major version.
    case unsupportedVersion(UInt8)
    /// The peer wants another security mechanism than NULL.
    case unsupportedMechanism
    /// A frame announces more than ``ZMTP/maximumFrameBytes``.
    case frameTooLarge(UInt64)
    /// A frame has reserved flags, or is a command with MORE.
    case badFlags(UInt8)
    /// A command's name, properties or data do not fit its frame.
    case malformedCommand
    /// Something else than `READY` came first.
    case notReady
    /// The peer's socket type does not go with ours.
    case incompatiblePeer
    /// The peer sent `ERROR`.
    case refusedByPeer
    /// The peer did not finish its handshake in time.
    case handshakeTimeout
    /// The peer closed inside a greeting, a frame or a message.
    case truncated

    package var description: String {
        switch self {
        case .badSignature: "expected a ZMTP greeting, got other bytes"
        case .unsupportedVersion(let major): "expected ZMTP 3 or later, got version \(major)"
        case .unsupportedMechanism: "expected the NULL mechanism, got another"
        case .frameTooLarge(let size): "expected a frame of at most \(ZMTP.maximumFrameBytes) bytes, got \(size)"
        case .badFlags(let flags): "expected known frame flags, got 0x\(String(flags, radix: 16))"
        case .malformedCommand: "expected a well-formed command, got one that does not fit its frame"
        case .notReady: "expected READY as the first frame, got another"
        case .incompatiblePeer:
            "expected a PUSH at the other end of a PULL, a DEALER at that of a ROUTER, got other socket types"
        case .refusedByPeer: "the peer refused the connection with ERROR"
        case .handshakeTimeout: "expected a complete ZMTP handshake in time, got none"
        case .truncated: "the peer closed inside a greeting, a frame or a message"
        }
    }
}
