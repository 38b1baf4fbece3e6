/// The id of one hand-off attempt: unguessable, never reused, and it tells which event loop serves the request.
///
/// LMCache keeps reservations by this id across proxies and restarts, and queues notifications while a proxy is away; a
/// counter would match another request's KV. Source: LMCache 0.5.6 `pd_backend_async.py` 1338-1360.
package struct RequestID: Sendable, Hashable, CustomStringConvertible {
    /// The id as it goes over the wire: four hexadecimal digits of the loop, then 128 random bits.
    package let description: String

    /// Draws a new id.
    ///
    /// - Parameter loop: index of the event loop that serves the request, 0...65535.
    package init(loop: Int, using generator: inout some RandomNumberGenerator) {
        var text = ""
        text.reserveCapacity(36)
        Self.append(UInt64(UInt16(truncatingIfNeeded: loop)), digits: 4, to: &text)
        Self.append(generator.next(), digits: 16, to: &text)
        Self.append(generator.next(), digits: 16, to: &text)
        description = text
    }

    /// The loop index in an id that came over the wire; nil where the text is no id of ours.
    package static func loop(of wire: String) -> Int? {
        guard wire.utf8.count == 36 else { return nil }
        return Int(wire.prefix(4), radix: 16)
    }

    private static func append(_ value: UInt64, digits: Int, to text: inout String) {
        for shift in (0..<digits).reversed() {
            let digit = UInt8((value >> UInt64(shift * 4)) & 15)
            text.unicodeScalars.append(Unicode.Scalar(digit < 10 ? 0x30 + digit : 0x57 + digit))
        }
    }
}
