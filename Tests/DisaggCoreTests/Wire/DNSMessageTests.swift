import Testing

@testable import DisaggCore

/// Builds answers as a name server does.
enum DNSAnswer {
    static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private static func number(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

    /// - Parameter services: priority, port, and the host's bytes as they stand in the message.
    static func message(
        id: UInt16, flags: Int = 0x8180, question: String, services: [(priority: Int, port: Int, host: [UInt8])]
    ) -> [UInt8] {
        var message = number(Int(id)) + number(flags) + number(1) + number(services.count + 1) + number(0) + number(0)
        message += name(question) + number(33) + number(1)
        // A record of another type is among them.
        message += [0xC0, 12] + number(16) + number(1) + [0, 0, 0, 60] + number(3) + [2, 0x68, 0x69]
        for service in services {
            let data = number(service.priority) + number(5) + number(service.port) + service.host
            message += [0xC0, 12] + number(33) + number(1) + [0, 0, 0, 60] + number(data.count) + data
        }
        return message
    }
}

@Suite("SRV records")
struct DNSMessageTests {
    private let name = "_vllm._tcp.decode.example"

    private func failure(_ message: [UInt8], id: UInt16 = 7) -> DNSMessage.Failure? {
        do throws(DNSMessage.Failure) {
            _ = try DNSMessage.services(in: message, to: name, id: id)
            return nil
        } catch {
            return error
        }
    }

    @Test("services are read in the order of their priority, names that point back included")
    func services() throws {
        let message = DNSAnswer.message(
            id: 7, question: name,
            services: [
                (20, 8200, DNSAnswer.name("b.example")), (10, 8201, [1, UInt8(ascii: "a"), 0xC0, 12]), (0, 8202, [0]),
            ])
        let found = try DNSMessage.services(in: message, to: "_VLLM._tcp.decode.example", id: 7)
        #expect(
            found == [
                .init(host: "a._vllm._tcp.decode.example", port: 8201, priority: 10),
                .init(host: "b.example", port: 8200, priority: 20),
            ])
    }

    @Test("a question is the wire form of the name, and what is no name is not asked for")
    func questions() throws {
        let question = try #require(DNSMessage.question("_a._tcp.x.", id: 0x1234))
        #expect(question.prefix(12) == [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
        #expect(question.dropFirst(12).starts(with: DNSAnswer.name("_a._tcp.x") + [0, 33, 0, 1]))
        for bad in ["", ".", "a..b", String(repeating: "x", count: 64), String(repeating: "abc.", count: 70)] {
            #expect(DNSMessage.question(bad, id: 0) == nil, "\(bad)")
        }
    }

    @Test("an answer to another question, or one that says no, is told apart")
    func refusals() {
        let good = DNSAnswer.message(id: 7, question: name, services: [])
        #expect(failure(good) == nil)
        #expect(failure(good, id: 8) == .malformed)
        #expect(failure(DNSAnswer.message(id: 7, question: "other.example", services: [])) == .malformed)
        #expect(failure(DNSAnswer.message(id: 7, flags: 0x8183, question: name, services: [])) == .noSuchName)
        #expect(failure(DNSAnswer.message(id: 7, flags: 0x8182, question: name, services: [])) == .refused(2))
        #expect(failure(DNSAnswer.message(id: 7, flags: 0x8380, question: name, services: [])) == .truncated)
        #expect(failure(DNSAnswer.message(id: 7, flags: 0x0100, question: name, services: [])) == .malformed)
    }

    @Test("a name that points to itself ends")
    func loops() {
        let message = DNSAnswer.message(id: 7, question: name, services: [(0, 1, [0xC0, 12])])
        var looped = message
        looped[12] = 0xC0
        looped[13] = 12
        #expect(failure(looped) == .malformed)
    }
}

@Suite("SRV records, cut and scrambled")
struct DNSMessageFuzzTests {
    @Test("no bytes are a trap")
    func bytes() {
        let name = "_vllm._tcp.decode.example"
        let message = DNSAnswer.message(
            id: 7, question: name, services: [(1, 2, DNSAnswer.name("b.example")), (1, 2, [1, 97, 0xC0, 12])])
        for length in 0..<message.count {
            #expect(throws: DNSMessage.Failure.self) {
                try DNSMessage.services(in: Array(message.prefix(length)), to: name, id: 7)
            }
        }
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<Fuzzing.iterations(2000) {
            let scrambled = Fuzzing.mutated(message, using: &generator)
            let found = (try? DNSMessage.services(in: scrambled, to: name, id: 7)) ?? []
            #expect(found.allSatisfy { (1...65535).contains($0.port) && !$0.host.isEmpty }, "seed \(seed)")
        }
    }
}
