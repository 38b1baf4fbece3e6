extension GenerationRequest {
    /// The endpoints that generate, and that a hand-off can serve: each takes `kv_transfer_params`.
    ///
    /// Source: vLLM 0.33.0 `openai/completion`, `openai/chat_completion`, `openai/responses`, `anthropic` and
    /// `scale_out/token_in_token_out`, each `protocol.py`.
    package enum Endpoint: String, Sendable, CaseIterable {
        case completions = "/v1/completions"
        case chatCompletions = "/v1/chat/completions"
        case responses = "/v1/responses"
        case messages = "/v1/messages"
        /// Tokens in, tokens out; its sampling fields are members of `sampling_params`.
        case generate = "/inference/v1/generate"
        /// SGLang's own: `text` or `input_ids`, one or a list; its sampling fields are members of `sampling_params`.
        ///
        /// Source: SGLang `python/sglang/srt/managers/io_struct.py`, `GenerateReqInput`.
        case native = "/generate"

        /// Whether the sampling fields are members of `sampling_params`.
        var nestsSampling: Bool { self == .generate || self == .native }

        /// Whether a request can ask for several choices.
        var hasChoices: Bool { self != .responses && self != .messages }

        /// Whether a stream ends with `data: [DONE]`, as OpenAI's older endpoints have it.
        package var endsWithDone: Bool { self != .responses && self != .messages }

        /// Whether each event names its type in an `event:` line.
        package var namesEvents: Bool { !endsWithDone }
    }
}
