internal import Logging
internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#endif

/// What the counted operations get: bodies of the sizes that matter, and bytes that vLLM sent.
enum CountedInput {
    /// Why an input could not be made.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    // MARK: Requests

    /// A prompt of words and escaped line ends, as JSON text, of about that many bytes.
    static func textPrompt(bytes: Int) -> String {
        let words = ["The", "cache", "of", "a", "prompt", "is", "computed", "once", "and", "read", "many", "times."]
        var text = "\""
        var index = 0
        while text.utf8.count < bytes {
            text += words[index % words.count]
            index += 1
            text += index % 24 == 0 ? "\\n" : " "
        }
        return text + "\""
    }

    /// Token ids as a JSON array of about that many bytes.
    static func tokenPrompt(bytes: Int) -> String {
        var text = "[791"
        var token = 791
        while text.utf8.count < bytes {
            token = (token * 48_271 + 11) % 128_000
            text += ",\(token)"
        }
        return text + "]"
    }

    /// A streaming completion request as benchmark clients send it.
    static func completionBody(prompt: String) -> ByteBuffer {
        ByteBuffer(
            string: #"{"model":"meta-llama/Llama-3.1-8B-Instruct","prompt":\#(prompt),"max_tokens":200,"#
                + #""temperature":0,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}"#)
    }

    static func completion(prompt: String) throws -> GenerationRequest {
        try GenerationRequest(endpoint: .completions, body: completionBody(prompt: prompt))
    }

    static func chat() throws -> GenerationRequest {
        try GenerationRequest(
            endpoint: .chatCompletions,
            body: ByteBuffer(
                string: #"{"model":"meta-llama/Llama-3.1-8B-Instruct","messages":[{"role":"user","content":"Hello"}],"#
                    + #""max_completion_tokens":200,"stream":true}"#))
    }

    // MARK: Deployments

    /// What a proxy's event loops share: the hand-off's protocol and pools of that many backends.
    static func proxy(
        _ kind: HandoffKind, firstToken: FirstTokenSource = .decode, replicas: Int = 1
    ) -> ProxyShared {
        var deployment = Deployment()
        deployment.handoff = kind
        deployment.firstToken = firstToken
        deployment.prefill.replicas = replicas
        deployment.decode.replicas = replicas
        return ProxyShared(deployment: deployment, logger: Logger(label: "counts") { _ in SwiftLogNoOpLogHandler() })
    }

    // MARK: Answers

    /// The bytes of a captured answer, without the line about its request.
    static func fixture(_ name: String) throws -> [UInt8] {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(6).joined(separator: "/")
        let path = root + "/Tests/Fixtures/vllm-0.24.0/" + name
        guard let file = fopen(path, "r") else { throw Failure(description: "cannot read \(path)") }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        guard bytes.first == UInt8(ascii: "#") else { return bytes }
        return Array(bytes.drop { $0 != 0x0A }.dropFirst())
    }

    /// The head of a captured stream.
    static func streamHead() throws -> ByteBuffer {
        let text = String(decoding: try fixture("09-completion-stream.http"), as: UTF8.self)
        let head = text.utf8.split(separator: 0x0A).prefix { $0.count > 1 }.map { String($0) ?? "" }
        return ByteBuffer(string: head.joined(separator: "\n") + "\n\r\n")
    }

    /// The data of the first event of a captured stream: one token.
    static func tokenEvent() throws -> [UInt8] {
        let text = try fixture("09-completion-stream.http")
        guard let line = text.split(separator: 0x0A).first(where: { $0.starts(with: "data: {".utf8) }) else {
            throw Failure(description: "the captured stream has no event")
        }
        return Array(line.dropFirst(6))
    }

    /// One event as it stands in a stream.
    static func eventBytes() throws -> [UInt8] {
        Array("data: ".utf8) + (try tokenEvent()) + [0x0A, 0x0A]
    }

    /// The captured answer of an LMCache prefill engine.
    static func prefillAnswer() throws -> ByteBuffer {
        ByteBuffer(bytes: try fixture("31-lmcache-prefill-completion.json"))
    }

    /// The answer of vLLM's NixlConnector for 7500 tokens: the shape is that of the fixtures' README.
    static func nixlAnswer() throws -> ByteBuffer {
        let blocks = (1...469).map(String.init).joined(separator: ",")
        return try completionAnswer(
            parameters: #"{"do_remote_prefill":true,"do_remote_decode":false,"remote_block_ids":[[\#(blocks)]],"#
                + #""remote_engine_id":"16042d94-6b5e-4a0c-9d2f-0c7a4d3c7a11","#
                + #""remote_request_id":"cmpl-nx-3-0-a435c93d","remote_host":"localhost","remote_port":5600,"#
                + #""tp_size":1,"remote_num_tokens":7500}"#)
    }

    /// The answer of an LMCache prefill engine that sampled the first token, with 30 KB of prompt ids.
    static func firstTokenAnswer() throws -> ByteBuffer {
        try completionAnswer(parameters: #"{"first_tok":101103}"#, promptTokens: tokenPrompt(bytes: 30_000))
    }

    /// The captured prefill answer with other values of two members.
    private static func completionAnswer(parameters: String, promptTokens: String = "null") throws -> ByteBuffer {
        let view = try JSONView(parsing: try fixture("31-lmcache-prefill-completion.json"))
        guard let choice = view["choices"]?[0] else { throw Failure(description: "the captured answer has no choice") }
        var choiceSplice = JSONSplice()
        choiceSplice.set("prompt_token_ids", json: promptTokens)
        var splice = JSONSplice()
        splice.set(
            "choices",
            json: [UInt8(ascii: "[")] + (choiceSplice.applied(to: Array(choice.raw)) ?? []) + [UInt8(ascii: "]")])
        splice.set("kv_transfer_params", json: parameters)
        return ByteBuffer(bytes: splice.applied(to: Array(view.raw)) ?? [])
    }
}
