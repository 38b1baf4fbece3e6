internal import HTTPTypes

/// What a path and a method ask for.
enum Route: Equatable {
    case generation(GenerationRequest.Endpoint)
    /// Any one engine can answer: `/v1/models`, `/version`, `/tokenize`, `/detokenize`.
    case anyEngine
    /// The proxy itself is alive.
    case health
    /// The engines are reachable.
    case ready
    case metrics
    case notFound
    /// The path exists; only these methods do.
    case methodNotAllowed(allowed: String)

    /// Finds the route of a request.
    static func find(method: HTTPRequest.Method, path: Substring) -> Route {
        let isGet = method == .get || method == .head
        switch path {
        case "/v1/completions": return method == .post ? .generation(.completions) : .methodNotAllowed(allowed: "POST")
        case "/v1/chat/completions":
            return method == .post ? .generation(.chatCompletions) : .methodNotAllowed(allowed: "POST")
        case "/tokenize", "/detokenize": return method == .post ? .anyEngine : .methodNotAllowed(allowed: "POST")
        case "/v1/models", "/version": return method == .get ? .anyEngine : .methodNotAllowed(allowed: "GET")
        case "/health": return isGet ? .health : .methodNotAllowed(allowed: "GET, HEAD")
        case "/ready": return isGet ? .ready : .methodNotAllowed(allowed: "GET, HEAD")
        case "/metrics": return method == .get ? .metrics : .methodNotAllowed(allowed: "GET")
        default: return .notFound
        }
    }
}
