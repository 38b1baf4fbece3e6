import NIOCore
import Testing

@testable import DisaggCore

/// A random JSON object, and what stands in it.
struct RandomObject {
    struct Member: Equatable {
        /// The member's bytes from the name's opening quote to the value's end.
        var text: String
        var name: String
        var value: String
    }

    var text: String
    var members: [Member] = []

    static let names = ["stream", "max_tokens", "prompt", "é", "x\"y", "", "kv_transfer_params", "n"]

    init(using generator: inout SeededGenerator) {
        func space() -> String {
            ["", "", "", " ", "\n", "\t ", "\r\n  "][Int(generator.next() % 7)]
        }
        func string(_ name: String) -> String {
            var result = "\""
            for scalar in name.unicodeScalars {
                let code = String(scalar.value, radix: 16)
                let escaped = "\\u" + String(repeating: "0", count: 4 - code.count) + code
                if generator.next() % 12 == 0 {
                    result += escaped
                } else if scalar == "\"" {
                    result += "\\\""
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
            return result + "\""
        }
        func value(_ depth: Int) -> String {
            switch generator.next() % (depth > 2 ? 6 : 8) {
            case 0: return "null"
            case 1: return "true"
            case 2: return "9223372036854775807"
            case 3: return "-1.50e+3"
            case 4: return string(names[Int(generator.next() % 8)])
            case 5: return "\"}],:{[\\\"\\\\\""
            case 6:
                let elements = (0..<generator.next() % 3).map { _ in space() + value(depth + 1) + space() }
                return "[" + elements.joined(separator: ",") + "]"
            default:
                let elements = (0..<generator.next() % 3).map { _ in
                    space() + string(names[Int(generator.next() % 8)]) + space() + ":" + space() + value(depth + 1)
                }
                return "{" + elements.joined(separator: ",") + "}"
            }
        }
        let names = Self.names
        text = space() + "{"
        for index in 0..<generator.next() % 7 {
            if index > 0 { text += space() + "," }
            let name = names[Int(generator.next() % 8)]
            let raw = value(0)
            let member = string(name) + space() + ":" + space() + raw
            members.append(Member(text: member, name: name, value: raw))
            text += space() + member
        }
        text += space() + "}" + space()
    }
}

@Suite("JSON splice")
struct JSONSpliceTests {
    static func apply(_ splice: JSONSplice, to text: String) throws -> String {
        let body = ByteBuffer(string: text)
        return try splice.apply(to: body, JSONMemberTable(scanning: body)).map { String(buffer: $0) }.joined()
    }

    @Test("leaves the very buffer where nothing is edited")
    func empty() throws {
        let text = " { \"a\" : 1 } \n"
        #expect(try Self.apply(JSONSplice(), to: text) == text)
    }

    @Test(
        "removes every occurrence of a name, escaped or not, and no nested one",
        arguments: [
            ("{\"stream\":true}", "{}"), ("{\"a\":1,\"stream\":true}", "{\"a\":1}"),
            ("{\"stream\":1,\"a\":1}", "{\"a\":1}"),
            ("{\"str\\u0065am\":1,\"a\":{\"stream\":2},\"stream\":3}", "{\"a\":{\"stream\":2}}"),
            ("{\"a\" : 1 ,\n \"b\":2, \"stream\":0 , \"c\":3}", "{\"a\" : 1 ,\n \"b\":2,\"c\":3}"), ("{}", "{}"),
            ("{\"streams\":1,\"strea\":2,\"Stream\":3}", "{\"streams\":1,\"strea\":2,\"Stream\":3}"),
        ])
    func removes(text: String, expected: String) throws {
        var splice = JSONSplice()
        splice.remove("stream")
        #expect(try Self.apply(splice, to: text) == expected)
    }

    @Test(
        "sets a name once, in its last place or at the end",
        arguments: [
            ("{\"n\":1}", "{\"n\":[]}"), ("{}", "{\"n\":[]}"), ("{\"a\":1}", "{\"a\":1,\"n\":[]}"),
            ("{\"n\":1,\"a\":2,\"\\u006e\":3,\"b\":4}", "{\"a\":2,\"n\":[],\"b\":4}"),
        ])
    func sets(text: String, expected: String) throws {
        var splice = JSONSplice()
        splice.set("n", json: "7")
        splice.set("n", json: "[]")
        #expect(try Self.apply(splice, to: text) == expected)
    }

    @Test("long runs are slices of the body, short ones are copied, and much that is new has room")
    func pieces() throws {
        let long = "\"a\":\"\(String(repeating: "x", count: 5_000))\""
        let short = (0..<8).map { "\"b\($0)\":\"\(String(repeating: "y", count: 900))\"" }
        let body = ByteBuffer(string: "{\(long),\"n\":0,\(short.joined(separator: ",\"n\":1,"))}")
        var splice = JSONSplice()
        splice.remove("n")
        splice.set("new", large: ByteBuffer(string: "[1")) { $0.write(",2]") }
        splice.set("far") { $0.writeJSON(String(repeating: "\u{1}", count: 300)) }
        let pieces = try splice.apply(to: body, JSONMemberTable(scanning: body))
        let far = "\"\(String(repeating: "\\u0001", count: 300))\""
        #expect(
            pieces.map { String(buffer: $0) }.joined()
                == "{\(long),\(short.joined(separator: ",")),\"new\":[1,2],\"far\":\(far)}")
        #expect(pieces.map(\.readableBytes).prefix(2) == [1, long.utf8.count] && pieces.count == 5)
        #expect(pieces.dropFirst(3).first.map { String(buffer: $0) } == "[1")
    }

    @Test("a body of nothing but members is refused before it costs memory and time")
    func boundsMembers() throws {
        let many = String(repeating: "\"\\u0061\":0,", count: 100_000)
        #expect(throws: JSONSyntaxError.self) { try JSONMemberTable(scanning: ByteBuffer(string: "{\(many)\"b\":0}")) }
        let some = (0..<500).map { "\"field\($0)\":0" }.joined(separator: ",")
        #expect(try JSONMemberTable(scanning: ByteBuffer(string: "{\(some)}")).members.count == 500)
        // Nested members are not looked up and cost nothing.
        #expect(try JSONMemberTable(scanning: ByteBuffer(string: "{\"a\":{\(many)\"b\":0}}")).members.count == 1)
    }
}

@Suite("JSON splice, fuzzed")
struct JSONSpliceFuzzTests {
    private static let editable: [StaticString] = ["stream", "max_tokens", "kv_transfer_params", "n", "absent"]

    @Test("random objects, random edits: untouched members keep bytes and order, edits hold exactly once")
    func equalsReference() throws {
        var generator = SeededGenerator(seed: 41)
        for iteration in 0..<Fuzzing.iterations(2_500) {
            let object = RandomObject(using: &generator)
            var splice = JSONSplice()
            var wanted: [String: String?] = [:]
            var order: [String] = []
            for _ in 0..<1 + generator.next() % 3 {
                let name = Self.editable[Int(generator.next() % 5)]
                order.removeAll { $0 == "\(name)" }
                order.append("\(name)")
                if generator.next() % 2 == 0 {
                    splice.remove(name)
                    wanted.updateValue(nil, forKey: "\(name)")
                } else {
                    let json = ["1", "{\"a\":[1,2]}", "\"x\""][Int(generator.next() % 3)]
                    splice.set(name, json: json)
                    wanted.updateValue(json, forKey: "\(name)")
                }
            }
            var expected: [String] = []
            var seen: Set<String> = []
            for member in object.members.reversed() {
                guard let edit = wanted[member.name] else {
                    expected.insert(member.text, at: 0)
                    continue
                }
                if let json = edit, seen.insert(member.name).inserted {
                    expected.insert("\"\(member.name)\":\(json)", at: 0)
                }
            }
            for name in order where !seen.contains(name) {
                if let json = wanted[name] ?? nil { expected.append("\"\(name)\":\(json)") }
            }
            let result = try JSONSpliceTests.apply(splice, to: object.text)
            let body = ByteBuffer(string: result)
            let table = try JSONMemberTable(scanning: body)
            let bytes = Array(result.utf8)
            let actual = table.members.map {
                String(decoding: bytes[$0.name.lowerBound..<$0.value.upperBound], as: UTF8.self)
            }
            _ = try JSONView(parsing: result)
            if actual != expected {
                Issue.record("iteration \(iteration): \(object.text)\n\(wanted)\n\(result)\n\(expected)")
                return
            }
        }
    }

    @Test("random and mutated bodies never trap the scanner, the member table, or a reader of its members")
    func neverTraps() {
        var generator = SeededGenerator(seed: 42)
        let alphabet = Array("{}[]\",:\\u0e-+.19tfn ".utf8)
        var accepted = 0
        for iteration in 0..<Fuzzing.iterations(12_000) {
            let bytes =
                iteration % 2 == 0
                ? Fuzzing.bytes(alphabet, upTo: 48, using: &generator)
                : Fuzzing.mutated(Array(RandomObject(using: &generator).text.utf8), using: &generator)
            let view = try? JSONView(parsing: bytes)
            let request = try? GenerationRequest(endpoint: .completions, body: ByteBuffer(bytes: bytes))
            // Both walk the same grammar.
            if (view?.kind == .object) != (request != nil) {
                Issue.record("the readers disagree: \(String(decoding: bytes, as: UTF8.self).debugDescription)")
                return
            }
            guard let view, let request else { continue }
            accepted += 1
            view.forEachMember { _, value in _ = (value.string, value.int, value.double, value.elements.count) }
            for name in RandomObject.names { _ = view[name]?.rawString }
            _ = request.members.isMeaningful("n")
            _ = LegRewriting.commonReason(request)
            _ = LegRewriting.prefill.apply(to: request.body, request.table)
        }
        #expect(accepted > 0)
    }
}
