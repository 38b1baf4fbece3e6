/// Questions for `SRV` records, and what their answers say. Source of the format: RFC 1035 §4, RFC 2782, RFC 6891 §6.1.
package enum DNSMessage {
    /// A host that offers a service.
    package struct Service: Sendable, Hashable {
        package var host: String
        package var port: Int
        /// Hosts of a lower number come first.
        package var priority: Int

        package init(host: String, port: Int, priority: Int = 0) {
            self.host = host
            self.port = port
            self.priority = priority
        }
    }

    /// Why an answer is of no use.
    package enum Failure: Error, Sendable, Hashable {
        /// It answers another question, or is cut or broken.
        case malformed
        /// There is no such name.
        case noSuchName
        /// The server says it cannot answer, with this code.
        case refused(Int)
        /// It does not fit into a datagram.
        case truncated
    }

    /// Largest answer that is asked for, in bytes.
    package static let maximumBytes = 4096
    private static let serviceType = 33
    private static let maximumNameBytes = 255

    /// A question for the services of a name; nil where it is no name.
    ///
    /// - Parameter id: random, and checked in the answer.
    package static func question(_ name: String, id: UInt16) -> [UInt8]? {
        guard let encoded = encode(name) else { return nil }
        // One question, recursion desired, one additional record that tells how large an answer may be.
        var message = [UInt8(id >> 8), UInt8(id & 0xFF), 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
        message += encoded + [0, UInt8(serviceType), 0, 1]
        message += [0, 0, 41, UInt8(maximumBytes >> 8), UInt8(maximumBytes & 0xFF), 0, 0, 0, 0, 0, 0]
        return message
    }

    /// Reads an answer; records of other types are passed over.
    ///
    /// - Returns: the services by priority; empty where the name has none.
    package static func services(
        in message: [UInt8], to name: String, id: UInt16
    ) throws(Failure) -> [Service] {
        var reader = Reader(message: message)
        guard let answered = reader.number(), answered == Int(id), let flags = reader.number(), flags & 0x8000 != 0,
            let questions = reader.number(), questions == 1, let answers = reader.number(),
            reader.number() != nil, reader.number() != nil,
            let asked = reader.name(), asked.lowercased() == name.lowercased(), reader.number() == serviceType,
            reader.number() == 1
        else { throw .malformed }
        switch flags & 0xF {
        case 0: break
        case 3: throw .noSuchName
        case let code: throw .refused(code)
        }
        guard flags & 0x0200 == 0 else { throw .truncated }
        var found: [Service] = []
        for _ in 0..<answers {
            guard reader.name() != nil, let type = reader.number(), reader.number() != nil, reader.skip(4),
                let length = reader.number()
            else { throw .malformed }
            let end = reader.offset + length
            guard end <= message.count else { throw .malformed }
            if type == serviceType {
                guard let priority = reader.number(), reader.number() != nil, let port = reader.number(),
                    let host = reader.name(), reader.offset == end
                else { throw .malformed }
                // A single dot means that the service is decidedly not offered.
                if !host.isEmpty, port > 0 { found.append(Service(host: host, port: port, priority: priority)) }
            }
            reader.offset = end
        }
        return found.sorted { ($0.priority, $0.host, $0.port) < ($1.priority, $1.host, $1.port) }
    }

    private static func encode(_ name: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        let trimmed = name.hasSuffix(".") ? name.dropLast() : name[...]
        for label in trimmed.split(separator: ".", omittingEmptySubsequences: false) {
            guard (1...63).contains(label.utf8.count) else { return nil }
            bytes.append(UInt8(label.utf8.count))
            bytes += label.utf8
        }
        bytes.append(0)
        return bytes.count <= maximumNameBytes ? bytes : nil
    }

    private struct Reader {
        let message: [UInt8]
        var offset = 0

        mutating func number() -> Int? {
            guard offset + 2 <= message.count else { return nil }
            defer { offset += 2 }
            return Int(message[offset]) << 8 | Int(message[offset + 1])
        }

        mutating func skip(_ count: Int) -> Bool {
            guard offset + count <= message.count else { return false }
            offset += count
            return true
        }

        /// A name; what it points back to is followed a bounded number of times.
        mutating func name() -> String? {
            var place = offset
            var jumps = 0
            var text: [UInt8] = []
            while true {
                guard place < message.count else { return nil }
                let length = Int(message[place])
                if length & 0xC0 == 0xC0 {
                    guard place + 1 < message.count, jumps < 32 else { return nil }
                    if jumps == 0 { offset = place + 2 }
                    jumps += 1
                    place = (length & 0x3F) << 8 | Int(message[place + 1])
                    continue
                }
                guard length < 64, place + 1 + length <= message.count else { return nil }
                if length == 0 {
                    if jumps == 0 { offset = place + 1 }
                    return String(validating: text, as: UTF8.self)
                }
                if !text.isEmpty { text.append(UInt8(ascii: ".")) }
                let label = message[place + 1..<place + 1 + length]
                guard text.count + length <= DNSMessage.maximumNameBytes, label.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
                else { return nil }
                text += label
                place += 1 + length
            }
        }
    }
}
