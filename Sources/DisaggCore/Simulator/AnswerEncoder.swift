/// The bytes of an answer, whichever endpoint was asked.
enum AnswerEncoder {
    case completion(CompletionEncoder)
    case chat(ChatEncoder)
    case responses(ResponsesEncoder)
    case messages(MessagesEncoder)
    case tokens(TokensEncoder)
    case native(NativeEncoder)

    init(context: AnswerContext, fields: AnswerFields) {
        switch context.request.endpoint {
        case .completion: self = .completion(CompletionEncoder(context: context))
        case .chat: self = .chat(ChatEncoder(context: context))
        case .responses: self = .responses(ResponsesEncoder(context: context, fields: fields))
        case .messages: self = .messages(MessagesEncoder(context: context))
        case .tokens: self = .tokens(TokensEncoder(context: context))
        case .native: self = .native(NativeEncoder(context: context))
        }
    }

    /// Whether a stream ends with `data: [DONE]`.
    var endsWithDone: Bool {
        switch self {
        case .completion, .chat, .tokens, .native: true
        case .responses, .messages: false
        }
    }

    /// Tells that KV was loaded, where the engine tells such things at all.
    mutating func countAsCached(_ tokens: Int) {
        func changed(_ context: AnswerContext) -> AnswerContext {
            var context = context
            if context.cachedTokens != nil { context.cachedTokens = tokens }
            return context
        }
        switch self {
        case .completion(var completion):
            completion.context = changed(completion.context)
            self = .completion(completion)
        case .chat(var chat):
            chat.context = changed(chat.context)
            self = .chat(chat)
        case .responses(var responses):
            responses.context = changed(responses.context)
            self = .responses(responses)
        case .messages(var messages):
            messages.context = changed(messages.context)
            self = .messages(messages)
        case .tokens(var tokens):
            tokens.context = changed(tokens.context)
            self = .tokens(tokens)
        case .native: break
        }
    }

    /// Events ahead of the first token.
    ///
    /// - Parameter choices: of all prompts together.
    mutating func start(choices: Int) -> [String] {
        switch self {
        case .completion, .tokens, .native: return []
        case .chat(let chat): return (0..<choices).map { chat.roleChunk(index: $0) }
        case .responses(var responses):
            defer { self = .responses(responses) }
            return responses.start()
        case .messages(let messages): return [messages.start()]
        }
    }

    /// Events of one piece of a choice.
    ///
    /// - Parameters:
    ///   - produced: tokens the choice has with this piece.
    ///   - transfer: `kv_transfer_params` as JSON, shown only where not nil.
    mutating func events(_ piece: GeneratedPiece, produced: Int, transfer: String?) -> [String] {
        switch self {
        case .completion(var completion):
            defer { self = .completion(completion) }
            return [completion.chunk(piece, produced: produced, transfer: transfer)]
        case .chat(let chat): return [chat.chunk(piece, produced: produced, transfer: transfer)]
        case .responses(var responses):
            defer { self = .responses(responses) }
            return responses.events(piece, transfer: transfer)
        case .messages(var messages):
            defer { self = .messages(messages) }
            return messages.events(piece)
        case .tokens(let tokens): return [tokens.chunk(piece, produced: produced)]
        case .native(var native):
            defer { self = .native(native) }
            return [native.chunk(piece, produced: produced)]
        }
    }

    /// Events behind the last token, without `[DONE]`.
    mutating func end(completionTokens: Int) -> [String] {
        switch self {
        case .completion(let completion):
            return completion.context.request.includesUsage
                ? [completion.usageChunk(completionTokens: completionTokens)] : []
        case .chat(let chat):
            return chat.context.request.includesUsage ? [chat.usageChunk(completionTokens: completionTokens)] : []
        case .responses(var responses):
            defer { self = .responses(responses) }
            return responses.end(completionTokens: completionTokens)
        case .messages(let messages): return messages.end(completionTokens: completionTokens)
        case .native: return []
        case .tokens(let tokens):
            return tokens.context.request.includesUsage ? [tokens.usageChunk(completionTokens: completionTokens)] : []
        }
    }

    /// The answer that is no stream.
    ///
    /// - Parameter choiceMembers: what each choice of a completion or chat has beside the usual members, with a leading comma.
    mutating func body(_ choices: [JoinedChoice], transfer: String, choiceMembers: String = "") -> String {
        switch self {
        case .completion(var completion):
            defer { self = .completion(completion) }
            return completion.body(choices, transfer: transfer, choiceMembers: choiceMembers)
        case .chat(let chat): return chat.body(choices, transfer: transfer, choiceMembers: choiceMembers)
        case .responses(let responses): return responses.body(choices.first ?? JoinedChoice(), transfer: transfer)
        case .messages(let messages): return messages.body(choices.first ?? JoinedChoice(), transfer: transfer)
        case .tokens(let tokens): return tokens.body(choices, transfer: transfer)
        case .native(let native): return native.body(choices)
        }
    }

    /// The event that ends a stream which failed.
    func errorEvent(_ error: SimulatedAPIError) -> String {
        switch self {
        case .completion, .chat, .tokens, .native: AnswerContext.event(error.body)
        case .responses, .messages: AnswerContext.event(error.body(for: .messages), named: "error")
        }
    }
}

/// What an answer repeats of its request or names anew.
struct AnswerFields {
    /// Members of the request.
    var request: [String: JSONView] = [:]
    /// Ids of an answer's items, 16 hexadecimal digits each.
    var itemID = ""
    var messageID = ""
    /// Tokens a choice may have where the request sets no limit.
    var defaultLimit = 0

    /// A member as it came, `null` where it was absent.
    func raw(_ name: String) -> String { request[name]?.rawString ?? "null" }
}
