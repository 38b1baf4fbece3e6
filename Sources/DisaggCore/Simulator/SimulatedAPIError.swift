/// An error answer of the OpenAI surface, in vLLM's shape.
///
/// Source: captured traffic, fixtures 10 and 13 to 16 and 30; vLLM `entrypoints/serve/engine/protocol.py` 79-87.
struct SimulatedAPIError: Error {
    /// HTTP status.
    var status: Int
    var message: String
    var type: String
    /// The offending parameter, `null` where nil.
    var parameter: String?
    /// vLLM's sampling parameter errors come from outside its CORS layer and lack `vary` (fixture 10).
    var hasVary = true

    /// 400 from the API layer.
    static func badRequest(_ message: String, parameter: String? = nil) -> Self {
        Self(status: 400, message: message, type: "BadRequestError", parameter: parameter)
    }

    /// 400 with the suffix vLLM's own validation errors carry.
    static func invalid(_ message: String, parameter: String, value: Int) -> Self {
        badRequest("\(message) (parameter=\(parameter), value=\(value))", parameter: parameter)
    }

    /// 404 for a model that is not served.
    static func unknownModel(_ model: String) -> Self {
        Self(
            status: 404, message: "The model `\(model)` does not exist.", type: "NotFoundError", parameter: "model")
    }

    /// What every request gets once the engine core is dead (fixture 30).
    static let engineDead = Self(
        status: 500,
        message: "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        type: "InternalServerError")

    /// A KV load that failed under `kv_load_failure_policy: fail` (Docs/EngineFacts.md row 13).
    static let internalError = Self(
        status: 500, message: "Internal server error", type: "InternalServerError")

    /// A body that is no JSON or has a field of the wrong type, as FastAPI's handler reports it (fixture 14).
    ///
    /// - Parameters:
    ///   - detail: the Python dictionary of pydantic's error, without its braces.
    ///   - location: dotted path of the value, for example `body.1`.
    static func validation(_ detail: String, location: String, path: String) -> Self {
        let function =
            switch path {
            case "/v1/chat/completions": "create_chat_completion"
            case "/v1/responses": "create_responses"
            case "/v1/messages": "create_messages"
            case "/inference/v1/generate", "/generate": "generate"
            default: "create_completion"
            }
        return Self(
            status: 400,
            message: "1 validation error:\n  {\(detail)}\n\n  File "
                + "\"/opt/venv/vllm/entrypoints/serve/utils/api_utils.py\", line 34, in \(function)\n"
                + "    POST \(path) [{\(detail)}]",
            type: "Bad Request", parameter: location)
    }

    /// The error as SGLang and TensorRT-LLM write it: no `error` member around it (`openai_protocol`, `ErrorResponse`).
    var flatBody: String {
        #"{"object":"error","message":\#(JSONString.encode(message)),"type":"\#(type)","#
            + #""param":\#(parameter.map { JSONString.encode($0) } ?? "null"),"code":\#(status)}"#
    }

    /// 400 for a field that must be there.
    static func missing(_ name: String, path: String) -> Self {
        validation(
            "'type': 'missing', 'loc': ('body', '\(name)'), 'msg': 'Field required', 'input': {}",
            location: "body.\(name)", path: path)
    }

    /// The error object as the endpoint's clients read it.
    ///
    /// Source: vLLM 0.33.0 `anthropic/protocol.py` 25-53.
    func body(for endpoint: SimulatedRequest.Endpoint) -> String {
        guard endpoint == .messages else { return body }
        let kind =
            switch status {
            case 404: "not_found_error"
            case 429: "rate_limit_error"
            case 503: "overloaded_error"
            case 500...: "api_error"
            default: "invalid_request_error"
            }
        return #"{"type":"error","error":{"type":"\#(kind)","message":\#(JSONString.encode(message))}}"#
    }

    /// The error object as JSON.
    var body: String {
        #"{"error":{"message":\#(JSONString.encode(message)),"type":"\#(type)","#
            + #""param":\#(parameter.map { JSONString.encode($0) } ?? "null"),"code":\#(status)}}"#
    }
}
