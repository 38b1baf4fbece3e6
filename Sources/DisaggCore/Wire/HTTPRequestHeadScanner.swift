/// How the end of a request's body is found.
package enum RequestFraming: Sendable, Equatable {
    /// There is no body.
    case none
    /// `Content-Length` bytes.
    case length(Int)
    /// Chunked transfer coding.
    case chunked
}

/// The head of a client's request, as offsets into the bytes it was found in.
package struct ScannedRequestHead: Sendable, Equatable {
    package var method = 0..<0
    package var target = 0..<0
    /// The minor version of HTTP/1: 0 or 1.
    package var minorVersion = 1
    package var fields: [ScannedField] = []
    package var framing = RequestFraming.none
    /// Whether the connection may carry another request after this one.
    package var keepAlive = true
    /// Whether the client waits for `100 Continue` before it sends the body.
    package var expectsContinue = false
    /// Bytes of the head: empty lines ahead of it and the empty line at its end included.
    package var length = 0
}

/// Finds and reads an HTTP/1 request head. Strict where smuggling could hide, free of NIO types, never traps.
///
/// Every line is judged as soon as its bytes are there, so a client that speaks something else is not left waiting for
/// a deadline. Source of the rules: RFC 9112 §2.2, §3, §5, §6.
package enum HTTPRequestHeadScanner {
    /// What a scan found.
    package enum Outcome: Sendable, Equatable {
        /// A valid head may still come.
        case needsMore
        case head(ScannedRequestHead)
        /// What is wrong; reads well behind "the request is not valid HTTP/1.1: ".
        case malformed(String)
        /// More bytes than the limit, or more than ``maximumFields``.
        case tooLarge
    }

    /// Most header fields that are accepted: as many as NIO's decoder takes.
    package static let maximumFields = 256
    /// Longest method that is accepted, in bytes; the longest registered one has 17.
    package static let maximumMethodBytes = 32
    /// Most empty lines ahead of a request that are passed over. Old clients send one behind a body (RFC 9112 §2.2).
    package static let maximumEmptyLines = 4

    /// Scans the bytes received since the last message ended.
    ///
    /// - Parameters:
    ///   - limit: the largest head, in bytes.
    ///   - searchedFrom: how many of these bytes an earlier call with the same limit answered with ``Outcome/needsMore``.
    ///     The answer is the same without it, but then every call parses all of them again.
    package static func scan(_ bytes: UnsafeRawBufferPointer, limit: Int, searchedFrom: Int = 0) -> Outcome {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(max(0, limit)))
        let known = min(max(0, searchedFrom), bytes.count)
        let outcome = endsNoLine(bytes, known) ? continueLine(bytes, known) : parse(bytes)
        if case .needsMore = outcome, bytes.count >= limit { return .tooLarge }
        return outcome
    }

    // MARK: A line that goes on

    /// Whether the bytes from `known` on are but more of a line that had begun before.
    private static func endsNoLine(_ bytes: UnsafeRawBufferPointer, _ known: Int) -> Bool {
        known > 0 && bytes[known - 1] != 0x0D && HTTPFieldSyntax.firstControl(bytes, known) == bytes.count
    }

    /// Judges new bytes of an unfinished line without a look at the lines before it.
    private static func continueLine(_ bytes: UnsafeRawBufferPointer, _ known: Int) -> Outcome {
        let line = startOfLastLine(bytes, known)
        guard case .line(let start) = skipEmptyLines(bytes), line > start else {
            return parse(bytes, searchedFrom: known)
        }
        // A line that is yet to begin counts as a field only once it has (maximumFields).
        guard line < known else { return parse(bytes) }
        if !holdsColon(bytes, line, known),
            case .malformed(let reason) = HTTPFieldSyntax.readField(bytes, line, searchedFrom: known)
        {
            return .malformed(reason)
        }
        return .needsMore
    }

    private static func holdsColon(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
        let before = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        return ByteBlock.firstIndex(of: UInt8(ascii: ":"), in: before, from: start) < end
    }

    /// Offset behind the last line feed ahead of `end`.
    private static func startOfLastLine(_ bytes: UnsafeRawBufferPointer, _ end: Int) -> Int {
        var index = end
        let lineFeed = SIMD16<UInt8>(repeating: 0x0A)
        while index >= 16, !any(bytes.loadUnaligned(fromByteOffset: index - 16, as: SIMD16<UInt8>.self) .== lineFeed) {
            index -= 16
        }
        while index > 0, bytes[index - 1] != 0x0A { index -= 1 }
        return index
    }

    // MARK: The request line

    private enum Start {
        case needsMore
        case line(at: Int)
        case malformed(String)
    }

    private static func skipEmptyLines(_ bytes: UnsafeRawBufferPointer) -> Start {
        var index = 0
        while index < bytes.count, bytes[index] == 0x0D {
            guard index < 2 * maximumEmptyLines else { return .malformed("too many empty lines ahead of it") }
            guard index + 1 < bytes.count else { return .needsMore }
            guard bytes[index + 1] == 0x0A else { return .malformed(HTTPFieldSyntax.bareCarriageReturn) }
            index += 2
        }
        return index < bytes.count ? .line(at: index) : .needsMore
    }

    private enum RequestLine {
        case needsMore
        case line(method: Range<Int>, target: Range<Int>, minorVersion: Int, next: Int)
        case malformed(String)
    }

    /// Reads the request line that starts at `start`, or as much of it as there is.
    private static func readRequestLine(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, searchedFrom: Int
    ) -> RequestLine {
        var index = start
        let longest = min(bytes.count, start + maximumMethodBytes)
        while index < longest, HTTPFieldSyntax.isTokenCharacter(bytes[index]) { index += 1 }
        guard index < bytes.count else { return .needsMore }
        guard bytes[index] == 0x20, index > start else { return .malformed(faultOfMethod(bytes, start, index)) }
        let method = start..<index
        // Reserved, so that a server of HTTP/1 refuses the preface of HTTP/2 (RFC 9113 §3.4, §11.6).
        if method.count == 3, bytes[start] == UInt8(ascii: "P"), bytes[start + 1] == UInt8(ascii: "R"),
            bytes[start + 2] == UInt8(ascii: "I")
        {
            return .malformed("it begins like HTTP/2")
        }
        let target = index + 1
        // Whatever came behind the target is at most " HTTP/1.1\r", or it would have been refused when it came.
        index = max(target, searchedFrom - 10)
        while index < bytes.count, bytes[index] > 0x20, bytes[index] < 0x7F { index += 1 }
        guard index < bytes.count else { return .needsMore }
        guard bytes[index] == 0x20, index > target else { return .malformed(faultOfTarget(bytes, target, index)) }
        let version = index + 1
        let expected: StaticString = "HTTP/1.1\r\n"
        for offset in 0..<expected.utf8CodeUnitCount {
            guard version + offset < bytes.count else { return .needsMore }
            let byte = bytes[version + offset]
            guard byte == expected.utf8Start[offset] || (offset == 7 && byte == UInt8(ascii: "0")) else {
                return .malformed(faultOfVersion(byte, offset))
            }
        }
        return .line(
            method: method, target: target..<index, minorVersion: Int(bytes[version + 7]) - 0x30, next: version + 10)
    }

    private static func faultOfMethod(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ fault: Int) -> String {
        if bytes[start] == 0x16 { return "it begins with a TLS handshake" }
        if HTTPFieldSyntax.isTokenCharacter(bytes[fault]) { return "its method is longer than 32 bytes" }
        switch bytes[fault] {
        case 0x0A: return HTTPFieldSyntax.bareLineFeed
        case 0x0D: return "its first line has no target and no version"
        default: return "it does not begin with a method"
        }
    }

    private static func faultOfTarget(_ bytes: UnsafeRawBufferPointer, _ target: Int, _ fault: Int) -> String {
        switch bytes[fault] {
        case 0x20: "more than one space behind its method"
        case 0x0A: HTTPFieldSyntax.bareLineFeed
        case 0x0D: fault == target ? "its first line has no target and no version" : "its first line has no version"
        default: "a character in its target that must be percent-encoded"
        }
    }

    private static func faultOfVersion(_ byte: UInt8, _ offset: Int) -> String {
        switch offset {
        case 0..<5: "its first line is not a method, a target and a version"
        case 5..<8: "its version is neither HTTP/1.0 nor HTTP/1.1"
        case 8: byte == 0x0A ? HTTPFieldSyntax.bareLineFeed : "something behind the version in its first line"
        default: HTTPFieldSyntax.bareCarriageReturn
        }
    }

    // MARK: The head

    private static func parse(_ bytes: UnsafeRawBufferPointer, searchedFrom: Int = 0) -> Outcome {
        var head = ScannedRequestHead()
        var index = 0
        switch skipEmptyLines(bytes) {
        case .needsMore: return .needsMore
        case .malformed(let reason): return .malformed(reason)
        case .line(let start): index = start
        }
        switch readRequestLine(bytes, index, searchedFrom: searchedFrom) {
        case .needsMore: return .needsMore
        case .malformed(let reason): return .malformed(reason)
        case .line(let method, let target, let minorVersion, let next):
            (head.method, head.target, head.minorVersion, index) = (method, target, minorVersion, next)
        }
        var meaning = RequestFields(minorVersion: head.minorVersion)
        while index < bytes.count {
            if bytes[index] == 0x0D {
                guard index + 1 < bytes.count else { return .needsMore }
                guard bytes[index + 1] == 0x0A else { return .malformed(HTTPFieldSyntax.bareCarriageReturn) }
                head.length = index + 2
                head.framing = meaning.framing
                head.keepAlive = meaning.keepAlive && !HTTPFieldSyntax.equals(bytes, head.method, "connect")
                head.expectsContinue = meaning.expectsContinue
                return .head(head)
            }
            guard head.fields.count < maximumFields else { return .tooLarge }
            switch HTTPFieldSyntax.readField(bytes, index) {
            case .needsMore: return .needsMore
            case .malformed(let reason): return .malformed(reason)
            case .field(let field, let next):
                if let reason = meaning.take(bytes, field, end: next) { return .malformed(reason) }
                if head.fields.isEmpty { head.fields.reserveCapacity(16) }
                head.fields.append(field)
                index = next
            }
        }
        return .needsMore
    }
}

/// What the fields of a request say about its body and its connection.
private struct RequestFields {
    let minorVersion: Int
    var expectsContinue = false
    private var length: Int?
    private var chunked = false
    private var close = false
    private var keepsAlive = false
    private var upgrade = false
    private var host = false

    init(minorVersion: Int) { self.minorVersion = minorVersion }

    var framing: RequestFraming { chunked ? .chunked : length.map { .length($0) } ?? .none }
    var keepAlive: Bool { !close && !upgrade && (minorVersion == 1 || keepsAlive) }

    /// Takes the next field, whose line ends at `end`; returns what is wrong with it.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ field: ScannedField, end: Int) -> String? {
        // The length of a name rules nearly all of them out.
        switch field.name.count {
        case 4 where HTTPFieldSyntax.equals(bytes, field.name, "host"):
            // RFC 9112 §3.2. A missing one is forgiven, for nothing here depends on it; of two, every reader may believe
            // another one.
            if host { return "more than one Host" }
            host = true
        case 6 where HTTPFieldSyntax.equals(bytes, field.name, "expect"):
            // HTTP/1.0 knows no interim answers (RFC 9110 §10.1.1).
            if minorVersion == 1, HTTPFieldSyntax.containsToken(bytes, field.value, "100-continue") {
                expectsContinue = true
            }
        case 7 where HTTPFieldSyntax.equals(bytes, field.name, "upgrade"):
            // What follows on the connection may be of the other protocol.
            upgrade = true
        case 10 where HTTPFieldSyntax.equals(bytes, field.name, "connection"):
            if HTTPFieldSyntax.containsToken(bytes, field.value, "close") { close = true }
            if HTTPFieldSyntax.containsToken(bytes, field.value, "keep-alive") { keepsAlive = true }
        case 14 where HTTPFieldSyntax.equals(bytes, field.name, "content-length"):
            guard !holdsTab(bytes, field, end), let value = HTTPFieldSyntax.parseLength(bytes, field.value) else {
                return "a Content-Length that is no number"
            }
            guard length == nil || length == value else { return "two Content-Length that differ" }
            guard !chunked else { return "both Content-Length and Transfer-Encoding" }
            length = value
        case 17 where HTTPFieldSyntax.equals(bytes, field.name, "transfer-encoding"):
            guard length == nil else { return "both Content-Length and Transfer-Encoding" }
            guard minorVersion == 1 else { return "Transfer-Encoding in HTTP/1.0" }
            guard !chunked else { return "more than one Transfer-Encoding" }
            guard !holdsTab(bytes, field, end), HTTPFieldSyntax.equals(bytes, field.value, "chunked") else {
                return "a Transfer-Encoding other than chunked"
            }
            chunked = true
        default: break
        }
        return nil
    }

    /// Whether there is a tab around a value. It is allowed (RFC 9110 §5.5), but not every server takes it for white
    /// space: llhttp 9 does ahead of `chunked`, and refuses it behind. No client writes it.
    private func holdsTab(_ bytes: UnsafeRawBufferPointer, _ field: ScannedField, _ end: Int) -> Bool {
        bytes[field.name.upperBound..<end].contains(0x09)
    }
}
