import Testing

@testable import DisaggCore

@Suite("JSON scanner")
struct JSONScannerTests {
    @Test(
        "accepts what RFC 8259 accepts",
        arguments: [
            "{}", "[]", "null", " true ", "-0", "1.5e-7", "\"\"", "\"a\\u00e9\\n\"", "[1,[2,{\"a\":[]}],3]",
            "{\"a\":{\"b\":[{}]},\"c\":\"d\"}", "[[],[]]", "{\"a\":1 , \"a\":2}",
        ])
    func acceptsValidTexts(text: String) throws {
        _ = try JSONView(parsing: text)
    }

    @Test(
        "rejects what RFC 8259 rejects, without a trap",
        arguments: [
            "", " ", "{", "[", "{bad", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[1 2]", "01", "1.", "1e", "-",
            "+1",
            "tru", "nul", "\"", "\"\\x\"", "\"\\u12\"", "\"a\nb\"", "[}", "{]", "[1]]", "{\"a\":1}}", "'a'", "{1:2}",
            "\"\\",
            "[\"a\":1]", "{\"a\":1 \"b\":2}", "\u{FEFF}{}",
        ])
    func rejectsInvalidTexts(text: String) {
        #expect(throws: JSONSyntaxError.self) { try JSONView(parsing: text) }
    }

    @Test("bounds nesting instead of overflowing")
    func boundsNesting() throws {
        let depth = JSONScanner.maximumDepth
        let deepest = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        _ = try JSONView(parsing: deepest)
        #expect(throws: JSONSyntaxError.self) { try JSONView(parsing: "[" + deepest + "]") }
    }

    @Test("finds the end of a string wherever its quote falls in a block, or in four of them", arguments: 0..<150)
    func findsStringEnds(length: Int) throws {
        let text = String(repeating: "x", count: length)
        #expect(try JSONView(parsing: "[\"\(text)\",7]")[1]?.int == 7)
        #expect(try JSONView(parsing: "\"\(text)\\\"\"").string == text + "\"")
    }

    @Test("looks up members and elements")
    func looksUp() throws {
        let view = try JSONView(parsing: #" {"a":1,"b":{"c":[true,null,"x\u00e9\ud83d\ude00"]},"a":2.5} "#)
        #expect(view["a"]?.double == 2.5)
        #expect(view["a"]?.int == nil)
        #expect(view["b"]?["c"]?[0]?.bool == true)
        #expect(view["b"]?["c"]?[1]?.isNull == true)
        #expect(view["b"]?["c"]?[2]?.string == "xé😀")
        #expect(view["b"]?["c"]?.elements.count == 3)
        #expect(view["zz"] == nil)
        #expect(view["b"]?.rawString.hasPrefix("{\"c\"") == true)
    }

    @Test("writes strings that read back the same", arguments: ["", "a\"b\\c", "\n\r\t\u{1}\u{1F}", "é😀\u{7F}"])
    func stringsSurvive(text: String) throws {
        #expect(try JSONView(parsing: JSONString.encode(text)).string == text)
    }
}
