import DequeModule
import NIOHTTP1

/// The last responses that were no streams: an engine keeps them in its own memory, where no other engine finds them.
///
/// Source: vLLM 0.33.0 `openai/responses/serving.py` 1160-1213, with `VLLM_ENABLE_RESPONSES_API_STORE=1`.
struct StoredResponses {
    private static let maximumCount = 64
    private static let prefix = "/v1/responses/"

    private var answers: [String: String] = [:]
    private var order: Deque<String> = []

    mutating func store(_ answer: String, id: String) {
        if answers.updateValue(answer, forKey: id) == nil { order.append(id) }
        if order.count > Self.maximumCount, let oldest = order.popFirst() { answers[oldest] = nil }
    }

    /// What answers to the path of a stored response, or to that of its cancelling; nil for other paths.
    func route(_ path: String) -> (methods: [HTTPMethod], answer: (SimulatedExchange, [UInt8]) -> Void)? {
        guard path.hasPrefix(Self.prefix) else { return nil }
        let parts = path.dropFirst(Self.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let id = parts.first.map(String.init), !id.isEmpty, parts.count <= 2 else { return nil }
        let answer = answers[id]
        func missing(_ exchange: SimulatedExchange) {
            exchange.fail(
                SimulatedAPIError(
                    status: 404, message: "Response with id '\(id)' not found.", type: "invalid_request_error",
                    parameter: "response_id"))
        }
        if parts.count == 1 {
            return (
                [.GET], { exchange, _ in answer.map { exchange.respond(status: 200, body: $0) } ?? missing(exchange) }
            )
        }
        guard parts[1] == "cancel" else { return nil }
        return (
            [.POST],
            { exchange, _ in
                guard answer != nil else { return missing(exchange) }
                exchange.fail(.badRequest("Cannot cancel a synchronous response.", parameter: "response_id"))
            }
        )
    }
}
