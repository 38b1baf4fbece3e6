internal import NIOCore

/// Writes the requests of a benchmark: one head and body after the other, each with a prompt of its own.
struct BenchRequestWriter {
    /// Common English words: with the space before it, each is one token in the vocabularies of Llama, Qwen, Mistral,
    /// DeepSeek and GPT models and in that of the simulated engines.
    static let words = """
        the of and to in is that it for on with as are this be at from have an by one not but what all when we there can \
        more if no out so up into them then she many some would other two its time about over only like little long make \
        after water river stone light night morning engine question between under through because against house garden
        """.split(separator: " ").map { Array(" \($0)".utf8) }

    private let settings: BenchSettings
    private let head: [UInt8]
    private let bodyStart: [UInt8]
    private let bodyEnd: [UInt8]
    private let sharedPrefix: [UInt8]
    private var random: SeededRandom

    /// - Parameter model: what the requests name.
    init(settings: BenchSettings, model: String) {
        self.settings = settings
        random = SeededRandom(seed: settings.seed, stream: 2)
        var shared: [UInt8] = []
        // The prefix depends on the seed only.
        var prefixRandom = SeededRandom(seed: settings.seed, stream: 3)
        Self.appendWords(settings.sharedPrefixTokens, to: &shared, from: &prefixRandom)
        sharedPrefix = shared
        let line = "POST \(settings.target.pathPrefix)\(settings.endpoint.path) HTTP/1.1\r\n"
        head = Array((line + Self.fields(settings) + "content-type: application/json\r\ncontent-length: ").utf8)
        let name = JSONString.encode(model)
        var end = ""
        switch settings.endpoint {
        case .completions:
            bodyStart = Array(#"{"model":\#(name),"prompt":""#.utf8)
            end += #"","max_tokens":\#(settings.outputTokens)"#
        case .chat:
            bodyStart = Array(#"{"model":\#(name),"messages":[{"role":"user","content":""#.utf8)
            end += #""}],"max_completion_tokens":\#(settings.outputTokens)"#
        }
        end += #","temperature":0"#
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

    /// The next request.
    mutating func next() -> ByteBuffer {
        var prompt: [UInt8] = []
        if let bytes = settings.promptBytes {
            prompt.reserveCapacity(bytes + 16)
            while prompt.count < bytes { Self.appendWords(1, to: &prompt, from: &random) }
            prompt.removeLast(prompt.count - bytes)
        } else {
            prompt.reserveCapacity(settings.inputTokens * 6)
            prompt += sharedPrefix
            Self.appendWords(settings.inputTokens - settings.sharedPrefixTokens, to: &prompt, from: &random)
        }
        let length = bodyStart.count + prompt.count + bodyEnd.count
        var buffer = ByteBuffer()
        buffer.reserveCapacity(head.count + 16 + length)
        buffer.writeBytes(head)
        buffer.writeString("\(length)\r\n\r\n")
        buffer.writeBytes(bodyStart)
        buffer.writeBytes(prompt)
        buffer.writeBytes(bodyEnd)
        return buffer
    }

    private static func appendWords(_ count: Int, to text: inout [UInt8], from random: inout SeededRandom) {
        for _ in 0..<max(0, count) { text += words[Int(random.next() >> 32) % words.count] }
    }
}
