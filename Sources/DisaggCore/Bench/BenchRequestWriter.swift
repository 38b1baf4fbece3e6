internal import NIOCore

/// Writes the requests of a benchmark: one head and body after the other, each with a prompt of its own.
struct BenchRequestWriter {
    private let settings: BenchSettings
    private let vocabulary: PromptVocabulary
    private let head: [UInt8]
    private let bodyStart: [UInt8]
    private let beforeTokens: [UInt8]
    private let bodyEnd: [UInt8]
    private let sharedPrefix: [UInt8]
    private var workload: BenchWorkload
    private var random: SeededRandom

    /// - Parameter model: what the requests name.
    init(settings: BenchSettings, model: String, vocabulary: PromptVocabulary = .unchecked) {
        self.settings = settings
        self.vocabulary = vocabulary
        workload = BenchWorkload(settings)
        random = SeededRandom(seed: settings.seed, stream: 2)
        // The prefix depends on the seed only.
        var prefixRandom = SeededRandom(seed: settings.seed, stream: 3)
        var shared: [UInt8] = []
        Self.append(settings.sharedPrefixTokens, of: vocabulary, to: &shared, from: &prefixRandom)
        sharedPrefix = shared
        let line = "POST \(settings.target.pathPrefix)\(settings.endpoint.path) HTTP/1.1\r\n"
        head = Array((line + Self.fields(settings) + "content-type: application/json\r\ncontent-length: ").utf8)
        let name = JSONString.encode(model)
        switch settings.endpoint {
        case .completions:
            bodyStart = Array(#"{"model":\#(name),"prompt":"#.utf8)
            beforeTokens = Array(#","max_tokens":"#.utf8)
        case .chat:
            bodyStart = Array(#"{"model":\#(name),"messages":[{"role":"user","content":"#.utf8)
            beforeTokens = Array(#"}],"max_completion_tokens":"#.utf8)
        }
        var end = #","temperature":0"#
        if settings.ignoresEnd { end += #","ignore_eos":true"# }
        // Engines merge tokens into one event when they fall behind; ids tell how many there are (vLLM 0.10.2 and later).
        if settings.checks, settings.isStream { end += #","return_token_ids":true"# }
        end += #","stream":\#(settings.isStream)"#
        if settings.isStream, settings.wantsUsage { end += #","stream_options":{"include_usage":true}"# }
        bodyEnd = Array("\(end)}".utf8)
    }

    /// Fields that every request has.
    private static func fields(_ settings: BenchSettings) -> String {
        var lines = "host: \(settings.target.authority)\r\nuser-agent: disagg-bench/\(DisaggVersion.current)\r\n"
        lines += "accept: */*\r\n"
        if let key = settings.apiKey { lines += "authorization: Bearer \(key)\r\n" }
        if !settings.keepsAlive { lines += "connection: close\r\n" }
        return lines
    }

    /// The request for the list of models.
    static func modelsRequest(_ settings: BenchSettings) -> ByteBuffer {
        ByteBuffer(string: "GET \(settings.target.pathPrefix)/v1/models HTTP/1.1\r\n\(fields(settings))\r\n")
    }

    /// The question how many tokens a text has as a prompt of the settings' endpoint.
    static func countRequest(_ settings: BenchSettings, model: String, text: String) -> ByteBuffer {
        let content = JSONString.encode(text)
        let prompt =
            settings.endpoint == .chat
            ? #""messages":[{"role":"user","content":\#(content)}]"# : #""prompt":\#(content)"#
        return countRequest(settings, body: #"{"model":\#(JSONString.encode(model)),\#(prompt)}"#)
    }

    /// The question how many tokens a text has by itself.
    static func countRequest(_ settings: BenchSettings, model: String, answer: String) -> ByteBuffer {
        let text = #""prompt":\#(JSONString.encode(answer)),"add_special_tokens":false"#
        return countRequest(settings, body: #"{"model":\#(JSONString.encode(model)),\#(text)}"#)
    }

    private static func countRequest(_ settings: BenchSettings, body: String) -> ByteBuffer {
        ByteBuffer(
            string: "POST \(settings.target.pathPrefix)/tokenize HTTP/1.1\r\n\(fields(settings))"
                + "content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    /// The next request, and what it is.
    mutating func next() -> (request: ByteBuffer, item: BenchItem) {
        let item = workload.draw()
        let prompt = promptText(item.prompt)
        let tokens = Array("\(item.outputTokens)".utf8)
        let length = bodyStart.count + prompt.count + beforeTokens.count + tokens.count + bodyEnd.count
        var buffer = ByteBuffer()
        buffer.reserveCapacity(head.count + 16 + length)
        buffer.writeBytes(head)
        buffer.writeString("\(length)\r\n\r\n")
        for part in [bodyStart, prompt, beforeTokens, tokens, bodyEnd] { buffer.writeBytes(part) }
        return (buffer, item)
    }

    /// The prompt as JSON: a string, or a list of ids.
    private mutating func promptText(_ prompt: BenchItem.Prompt) -> [UInt8] {
        let (open, close): (UInt8, UInt8) =
            vocabulary.isIDs ? (UInt8(ascii: "["), UInt8(ascii: "]")) : (UInt8(ascii: "\""), UInt8(ascii: "\""))
        var text: [UInt8] = [open]
        switch prompt {
        case .text(let given): return Array(JSONString.encode(given).utf8)
        case .bytes(let count):
            text.reserveCapacity(count + 16)
            text[0] = UInt8(ascii: "\"")
            while text.count <= count { Self.append(1, of: .unchecked, to: &text, from: &random) }
            text.removeLast(text.count - 1 - count)
            return text + [UInt8(ascii: "\"")]
        case .tokens(let count):
            text.reserveCapacity(count * 6)
            text += sharedPrefix
            let words = max(1, count - vocabulary.overhead) - settings.sharedPrefixTokens
            Self.append(words, of: vocabulary, to: &text, from: &random)
        case .blocks(let blocks, let count):
            text.reserveCapacity(count * 6)
            var left = max(1, count - vocabulary.overhead)
            for block in blocks where left > 0 {
                // A block is the same text wherever it comes.
                var own = SeededRandom(seed: settings.seed, stream: 0x1_0000 &+ UInt64(bitPattern: Int64(block)))
                let words = min(left, TraceReader.blockTokens)
                Self.append(words, of: vocabulary, to: &text, from: &own)
                left -= words
            }
            Self.append(left, of: vocabulary, to: &text, from: &random)
        }
        if text.last == UInt8(ascii: ",") { text.removeLast() }
        text.append(close)
        return text
    }

    private static func append(
        _ count: Int, of vocabulary: PromptVocabulary, to text: inout [UInt8], from random: inout SeededRandom
    ) {
        guard !vocabulary.isIDs else {
            for _ in 0..<max(0, count) {
                let id = PromptVocabulary.firstID + Int(random.next() >> 32) % PromptVocabulary.idCount
                text += Array("\(id),".utf8)
            }
            return
        }
        let words = vocabulary.words
        guard !words.isEmpty else { return }
        for _ in 0..<max(0, count) { text += words[Int(random.next() >> 32) % words.count] }
    }
}
