internal import HTTPTypes

/// What a path and a method ask for.
enum Route: Equatable {
    case generation(GenerationRequest.Endpoint)
    /// Any one engine can answer, and none is harmed: models, version, what only tokenises.
    case anyEngine
    /// Any one decoder can answer: what computes, without a hand-off. Never sent to a prefill engine, which may die of it.
    case anyDecoder
    /// Only the decoder that stored the response can answer; the others say 404.
    case holdingDecoder
    /// The requests under way.
    case load
    /// The proxy itself is alive.
    case health
    /// The engines are reachable.
    case ready
    case metrics
    case notFound
    /// The path exists; only these methods do.
    case methodNotAllowed(allowed: String)

    /// The paths, for an error's text.
    static let served =
        "/v1/completions, /v1/chat/completions, /v1/responses, /v1/messages, /inference/v1/generate, /generate (SGLang), "
        + "/v1/models, /tokenize, /detokenize, /v1/messages/count_tokens, /health, /ready, /load, /version and /metrics; "
        + "embeddings, scores and transcriptions go to a decoder"

    /// Finds the route of a request.
    static func find(method: HTTPRequest.Method, path: Substring) -> Route {
        let isGet = method == .get || method == .head
        func post(_ route: Route) -> Route { method == .post ? route : .methodNotAllowed(allowed: "POST") }
        func get(_ route: Route) -> Route { method == .get ? route : .methodNotAllowed(allowed: "GET") }
        if let endpoint = GenerationRequest.Endpoint(rawValue: String(path)) { return post(.generation(endpoint)) }
        switch path {
        case "/tokenize", "/detokenize", "/v1/messages/count_tokens", "/v1/completions/render",
            "/v1/chat/completions/render", "/v1/messages/render", "/v1/responses/render", "/v1/completions/derender",
            "/v1/chat/completions/derender":
            return post(.anyEngine)
        case "/v1/models", "/version", "/tokenizer_info": return get(.anyEngine)
        case "/v1/chat/completions/batch", "/generative_scoring", "/v1/embeddings", "/v2/embed", "/pooling",
            "/classify",
            "/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/audio/transcriptions",
            "/v1/audio/translations":
            return post(.anyDecoder)
        case "/health": return isGet ? .health : .methodNotAllowed(allowed: "GET, HEAD")
        case "/ping": return isGet || method == .post ? .health : .methodNotAllowed(allowed: "GET, HEAD, POST")
        case "/ready": return isGet ? .ready : .methodNotAllowed(allowed: "GET, HEAD")
        case "/load": return get(.load)
        case "/metrics": return get(.metrics)
        default: return stored(path, get: get, post: post)
        }
    }

    /// `/v1/responses/{id}` and `/v1/responses/{id}/cancel`.
    private static func stored(_ path: Substring, get: (Route) -> Route, post: (Route) -> Route) -> Route {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[1] == "v1", parts[2] == "responses", !parts[3].isEmpty else { return .notFound }
        if parts.count == 4 { return get(.holdingDecoder) }
        return parts.count == 5 && parts[4] == "cancel" ? post(.holdingDecoder) : .notFound
    }
}
