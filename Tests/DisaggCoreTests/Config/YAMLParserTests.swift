import Testing

@testable import DisaggCore

@Suite("YAML layer")
struct YAMLParserTests {
    private func error(_ text: String) -> YAMLError? {
        do throws(YAMLError) {
            _ = try YAMLParser.parse(text)
            return nil
        } catch {
            return error
        }
    }

    @Test("keeps the line and column of every key and value")
    func keepsMarks() throws {
        let root = try YAMLParser.parse("# note\nprefill:\n  port: 8100\n  gpus: [0, 1]\n")
        guard case .mapping(let top) = root.content, case .mapping(let inner) = try #require(top.first).value.content
        else { throw Issue.unexpected }
        #expect(top.map(\.keyMark) == [YAMLMark(line: 2, column: 1)])
        #expect(inner.map(\.keyMark) == [YAMLMark(line: 3, column: 3), YAMLMark(line: 4, column: 3)])
        #expect(inner.map(\.value.mark) == [YAMLMark(line: 3, column: 9), YAMLMark(line: 4, column: 9)])
    }

    @Test("a duplicate key is an error that names the first one")
    func duplicateKey() {
        #expect(
            error("a: 1\nb: 2\na: 3\n")
                == YAMLError(mark: YAMLMark(line: 3, column: 1), message: "duplicate key \"a\", first given at 1:1"))
    }

    @Test("a second document is an error")
    func secondDocument() {
        #expect(error("a: 1\n---\nb: 2\n")?.message == "expected one document, got a second one")
    }

    @Test("an alias bomb stops at the node limit")
    func aliasBomb() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let list = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(list)]\n"
        }
        #expect(error(text)?.message.contains("aliases expanded") == true)
    }

    @Test("aliases expand, and an unknown one is an error")
    func aliases() throws {
        let root = try YAMLParser.parse("a: &x [1, 2]\nb: *x\n")
        guard case .mapping(let members) = root.content else { throw Issue.unexpected }
        #expect(members[0].value.content == members[1].value.content)
        #expect(error("b: *x\n")?.message == "unknown alias *x")
        #expect(error("a: &x [1, *x]\n")?.message == "unknown alias *x")
    }

    @Test("deep nesting is refused, also through a chain of aliases")
    func depth() {
        let depth = 5000
        let nested = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(error("a: \(nested)\n")?.message.contains("levels deep") == true)
        var chain = "a0: &a0 [1]\n"
        for level in 1...40 { chain += "a\(level): &a\(level) [*a\(level - 1)]\n" }
        #expect(error(chain)?.message.contains("levels deep") == true)
    }

    @Test("a text over the size limit is refused before it is parsed")
    func size() {
        let text = "a: " + String(repeating: "x", count: YAMLParser.maximumBytes)
        #expect(error(text)?.message.contains("larger than") == true)
    }

    @Test(
        "malformed texts are errors with a place, never a trap",
        arguments: [
            "a: [1", "a: {", "a:\n\tb: 1", "a: 'x", "a: \"\\q\"", "- a\nb: 1", "%YAML 9.9\n---\na", "a: !!int 1",
            "? [a]\n: b",
            "a: b: c", "&", "*", "a: @x", "\u{1}", "a: \"\u{0}\"",
        ])
    func malformed(text: String) throws {
        let error = try #require(self.error(text))
        #expect(error.mark.line >= 1 && error.mark.column >= 1)
        #expect(!error.message.isEmpty)
    }

    @Test("an empty text is a null", arguments: ["", "\n", "# only a comment\n"])
    func empty(text: String) throws {
        #expect(try YAMLParser.parse(text).isNull)
    }

    private enum Issue: Error { case unexpected }
}

@Suite("YAML layer against damaged texts")
struct YAMLDamageTests {
    @Test("any damage to a deployment file is an error or a deployment, never a trap")
    func damage() {
        var generator = SystemRandomNumberGenerator()
        let pieces = Array("{}[]:,-#&*!|>'\"%@`?~ \n\t0x\u{0}\u{85}é".unicodeScalars)
        for _ in 0..<3000 {
            var scalars = Array(DeploymentLoadingTests.everything.unicodeScalars)
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let index = Int.random(in: 0..<scalars.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: scalars.remove(at: index)
                case 1: scalars[index] = pieces[Int.random(in: 0..<pieces.count, using: &generator)]
                default: scalars.insert(pieces[Int.random(in: 0..<pieces.count, using: &generator)], at: index)
                }
            }
            var text = String.UnicodeScalarView()
            text.append(contentsOf: scalars)
            do throws(DeploymentError) {
                let deployment = try Deployment(yaml: String(text))
                // Whatever loads can be written and loaded again.
                let written = DeploymentWriter.yaml(deployment)
                #expect((try? Deployment(yaml: written)) == deployment, "\(written)")
            } catch {
                #expect(!error.problems.isEmpty)
            }
        }
    }
}
