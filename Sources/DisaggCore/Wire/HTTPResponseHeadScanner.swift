/// How the end of a message body is found.
package enum BodyFraming: Sendable, Equatable {
    /// There is no body.
    case none
    /// `Content-Length` bytes.
    case length(Int)
    /// Chunked transfer coding.
    case chunked
    /// The body ends with the connection.
    case untilClose
}

/// The head of an engine's answer, as offsets into the bytes it was found in.
package struct ScannedResponseHead: Sendable, Equatable {
    /// 100...599.
    package var status = 0
    /// The minor version of HTTP/1.
    package var minorVersion = 1
    package var fields: [ScannedField] = []
    package var framing = BodyFraming.untilClose
    /// Whether the connection may carry another exchange after this one.
    package var keepAlive = true
    /// Bytes of the head, the empty line included.
    package var length = 0
}

/// Finds and reads an HTTP/1 response head. Strict where smuggling could hide, free of NIO types, never traps.
///
/// Source of the rules: RFC 9112 §4, §5, §6.3.
package enum HTTPResponseHeadScanner {
    /// What a scan found.
    package enum Outcome: Sendable, Equatable {
        case needsMore
        case head(ScannedResponseHead)
        case malformed(String)
    }

    /// Largest head that is accepted, in bytes.
    package static let maximumHeadBytes = 64 << 10

    /// Scans for the head of the answer itself, past interim ones (1xx).
    ///
    /// - Returns: what was found, and the offset where it begins.
    package static func scanPastInterim(_ bytes: UnsafeRawBufferPointer) -> (outcome: Outcome, start: Int) {
        var start = 0
        while start < bytes.count {
            let outcome = scan(UnsafeRawBufferPointer(rebasing: bytes[start...]))
            guard case .head(let head) = outcome, head.status < 200 else { return (outcome, start) }
            guard head.status != 101 else { return (.malformed("unexpected 101 Switching Protocols"), start) }
            start += head.length
        }
        return (.needsMore, start)
    }

    /// Scans the bytes received since the last message ended.
    package static func scan(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        var index = 0
        while true {
            index = ByteBlock.firstIndex(of: 0x0A, in: bytes, from: index)
            guard index < bytes.count else { break }
            // Waiting for the carriage returns of a peer that sends none would last until a deadline.
            guard index > 0, bytes[index - 1] == 0x0D else { return .malformed("a line feed alone") }
            if index > 2, bytes[index - 2] == 0x0A {
                guard index < maximumHeadBytes else { break }
                return parse(bytes, index + 1)
            }
            index += 1
        }
        if index >= maximumHeadBytes { return .malformed("head larger than \(maximumHeadBytes) bytes") }
        return isPlausibleStart(bytes) ? .needsMore : .malformed("not an HTTP/1 response")
    }

    private static func isPlausibleStart(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let expected: StaticString = "HTTP/1."
        let start = UnsafeBufferPointer(start: expected.utf8Start, count: expected.utf8CodeUnitCount)
        return zip(bytes, start).allSatisfy { $0 == $1 }
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, _ end: Int) -> Outcome {
        guard isPlausibleStart(bytes), end >= 14, JSONScanner.isDigit(bytes[7]), bytes[8] == 0x20 else {
            return .malformed("not an HTTP/1 response")
        }
        var head = ScannedResponseHead()
        head.length = end
        head.minorVersion = bytes[7] == UInt8(ascii: "0") ? 0 : 1
        for index in 9..<12 {
            guard JSONScanner.isDigit(bytes[index]) else { return .malformed("malformed status code") }
            head.status = head.status * 10 + Int(bytes[index]) - 0x30
        }
        guard head.status >= 100, head.status < 600, bytes[12] == 0x20 || bytes[12] == 0x0D else {
            return .malformed("status code out of range")
        }
        head.keepAlive = head.minorVersion == 1
        var index = lineEnd(bytes, 12, end) + 2
        var length: Int?
        var chunked = false
        var otherCoding = false
        var close = false
        head.fields.reserveCapacity(8)
        while index < end - 2 {
            let field: ScannedField
            switch HTTPFieldSyntax.readField(bytes, index) {
            case .field(let found, let next): (field, index) = (found, next)
            case .malformed(let reason): return .malformed(reason)
            case .needsMore: return .malformed("malformed header field")
            }
            // The length of a name rules nearly all of them out.
            switch field.name.count {
            case 10 where HTTPFieldSyntax.equals(bytes, field.name, "connection"):
                if HTTPFieldSyntax.containsToken(bytes, field.value, "close") {
                    close = true
                } else if HTTPFieldSyntax.containsToken(bytes, field.value, "keep-alive") {
                    head.keepAlive = true
                }
            case 14 where HTTPFieldSyntax.equals(bytes, field.name, "content-length"):
                guard let value = HTTPFieldSyntax.parseLength(bytes, field.value), length == nil || length == value
                else {
                    return .malformed("malformed or contradicting content-length")
                }
                length = value
            case 17 where HTTPFieldSyntax.equals(bytes, field.name, "transfer-encoding"):
                if HTTPFieldSyntax.equals(bytes, field.value, "chunked") { chunked = true } else { otherCoding = true }
            default: break
            }
            head.fields.append(field)
        }
        guard !otherCoding else { return .malformed("transfer coding other than chunked") }
        guard !(chunked && length != nil) else { return .malformed("both content-length and chunked") }
        // HTTP/1.0 knows no chunks: whatever sent them is not to be relied on further (RFC 9112 §6.1).
        if close || (chunked && head.minorVersion == 0) { head.keepAlive = false }
        if head.status < 200 || head.status == 204 || head.status == 304 {
            head.framing = .none
        } else if chunked {
            head.framing = .chunked
        } else if let length {
            head.framing = .length(length)
        } else {
            head.framing = .untilClose
            head.keepAlive = false
        }
        return .head(head)
    }

    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Int {
        var index = start
        while index < end - 1, !(bytes[index] == 0x0D && bytes[index + 1] == 0x0A) { index += 1 }
        return index
    }
}
