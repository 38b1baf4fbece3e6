import NIOCore
import Testing

@testable import DisaggCore

@Suite("Settings of a benchmark")
struct BenchSettingsTests {
    @Test(
        "addresses are read as clients write them",
        arguments: [
            ("http://127.0.0.1:9000", "127.0.0.1", 9000, ""), ("localhost:80", "localhost", 80, ""),
            ("http://example", "example", 80, ""), ("http://h:1/v1/", "h", 1, ""),
            ("http://h:1/a/b/v1", "h", 1, "/a/b"),
            ("HTTP://[::1]:8000/", "::1", 8000, ""), ("[::1]", "::1", 80, ""),
        ])
    func addresses(text: String, host: String, port: Int, prefix: String) throws {
        let target = try BenchTarget(text)
        #expect(target.host == host && target.port == port && target.pathPrefix == prefix)
    }

    @Test(
        "what is no address says so, and never shows a password",
        arguments: [
            "", "http://", "https://h:1", "ftp://h", "http://h:0", "http://h:70000", "http://h:x", "http://h:1/a b",
            "http://h:1/?q", "http://user:secret@h:1", "http://a\r\nb:1",
        ])
    func refused(text: String) throws {
        let error = try #require(throws: CommandError.self) { try BenchTarget(text) }
        #expect(error.exitStatus == 2 && !error.description.contains("secret"))
    }

    @Test("objectives are read with units, milliseconds without")
    func objectives() throws {
        let objectives = try ServiceObjectives("ttft=500ms,tpot=50,e2el=2s")
        #expect(objectives.ttft == .milliseconds(500) && objectives.tpot == .milliseconds(50))
        #expect(objectives.e2e == .seconds(2))
        #expect(objectives.areMet(ttft: 500_000_000, tpot: nil, e2e: 1))
        #expect(!objectives.areMet(ttft: 500_000_001, tpot: 1, e2e: 1))
        for text in ["", "ttft", "ttft=", "ttft=-1", "itl=5ms", "ttft=5ms,,", "ttft=nan"] {
            #expect(throws: CommandError.self) { try ServiceObjectives(text) }
        }
    }

    @Test("the same seed writes the same requests, with prompts of the wanted size")
    func prompts() throws {
        var settings = BenchSettings(target: try BenchTarget("http://h:1/x"))
        settings.inputTokens = 40
        settings.sharedPrefixTokens = 30
        settings.apiKey = "key"
        func bodies(_ settings: BenchSettings) throws -> [(head: String, body: JSONView)] {
            var writer = BenchRequestWriter(settings: settings, model: "a \"model\"")
            return try (0..<3).map { _ in
                let text = String(buffer: writer.next().request)
                let end = try #require(text.firstRange(of: "\r\n\r\n"))
                let body = text[end.upperBound...]
                #expect(text[..<end.lowerBound].contains("content-length: \(body.utf8.count)"))
                return (String(text[..<end.lowerBound]), try JSONView(parsing: String(body)))
            }
        }
        let first = try bodies(settings)
        let prompts = first.compactMap { $0.body["prompt"]?.string }
        #expect(try bodies(settings).map { $0.body["prompt"]?.string } == prompts)
        #expect(Set(prompts).count == 3)
        for prompt in prompts {
            #expect(SimulatedTokenizer.shared.tokenize(prompt).count == 40)
            #expect(prompt.split(separator: " ").prefix(30) == prompts[0].split(separator: " ").prefix(30))
        }
        #expect(first[0].head.hasPrefix("POST /x/v1/completions HTTP/1.1\r\nhost: h:1\r\n"))
        #expect(first[0].head.contains("authorization: Bearer key"))
        #expect(first[0].body["model"]?.string == "a \"model\"" && first[0].body["ignore_eos"]?.bool == true)
        settings.seed = 1
        #expect(try bodies(settings).map { $0.body["prompt"]?.string } != prompts)
        settings.sharedPrefixTokens = 0
        settings.promptBytes = 777
        settings.endpoint = .chat
        let chat = try bodies(settings)[0].body
        #expect(chat["messages"]?[0]?["content"]?.string?.utf8.count == 777)
    }

    @Test("numbers are written with their digits")
    func numbers() {
        let written = [(0.0, 2), (1.005, 1), (-0.001, 2), (-12.345, 1), (0.049, 2), (999.96, 1), (7.0, 0)].map {
            BenchFormat.fixed($0.0, $0.1)
        }
        #expect(written == ["0.00", "1.0", "0.00", "-12.3", "0.05", "1000.0", "7"])
        #expect(BenchFormat.fixed(.nan, 1) == "-" && BenchFormat.milliseconds(1_234_567) == "1.235")
    }
}
