import NIOHTTP1

/// The paths of the HTTP server.
extension SimulatedEngineCore {
    /// A complete request.
    func handle(_ exchange: SimulatedExchange, body: [UInt8]) {
        let path = exchange.path
        guard let (methods, answer) = route(path) else {
            return exchange.respond(status: 404, body: #"{"detail":"Not Found"}"#)
        }
        guard methods.contains(exchange.head.method) else {
            return exchange.respond(
                status: 405, body: #"{"detail":"Method Not Allowed"}"#,
                allow: methods.map(\.rawValue).joined(separator: ", "))
        }
        answer(exchange, body)
    }

    private func route(_ path: String) -> (methods: [HTTPMethod], answer: (SimulatedExchange, [UInt8]) -> Void)? {
        switch path {
        case "/health", "/health_generate":
            return (
                [.GET],
                { [self] exchange, _ in
                    exchange.respond(status: ledger.dead ? 503 : 200, body: "", contentType: nil)
                }
            )
        case "/ping":
            return (
                [.GET, .POST],
                { [self] exchange, _ in
                    exchange.respond(status: ledger.dead ? 503 : 200, body: "", contentType: nil)
                }
            )
        case "/version":
            return ([.GET], { exchange, _ in exchange.respond(status: 200, body: #"{"version":"0.24.0"}"#) })
        case "/load": return ([.GET], { exchange, _ in exchange.respond(status: 200, body: #"{"server_load":0}"#) })
        case "/v1/models": return ([.GET], { [self] exchange, _ in exchange.respond(status: 200, body: models()) })
        case "/metrics":
            return (
                [.GET],
                { [self] exchange, _ in
                    let text = metrics.text(
                        model: configuration.model, running: scheduler.running.count, waiting: scheduler.waiting.count,
                        created: startTime)
                    exchange.respond(status: 200, body: text, contentType: "text/plain; version=1.0.0; charset=utf-8")
                }
            )
        case "/tokenize": return ([.POST], { [self] in tokenize($0, $1) })
        case "/detokenize": return ([.POST], { [self] in detokenize($0, $1) })
        case "/query":
            guard let mooncake = side as? MooncakeSide else { return nil }
            return ([.GET], { exchange, _ in exchange.respond(status: 200, body: mooncake.bootstrapAnswer) })
        case "/server_info":
            guard let tensorRT = side as? TensorRTSide else { return nil }
            return ([.GET], { exchange, _ in exchange.respond(status: 200, body: tensorRT.serverInfo) })
        case "/v1/messages/count_tokens": return ([.POST], { [self] in countTokens($0, $1) })
        case "/sim/kv":
            return ([.GET], { [self] exchange, _ in exchange.respond(status: 200, body: currentLedger().json) })
        case "/sim/requests":
            return (
                [.GET],
                { [self] exchange, _ in
                    exchange.respond(status: 200, body: log.json(role: configuration.role.rawValue))
                }
            )
        case "/sim/faults": return ([.POST], { [self] in injectFaults($0, $1) })
        default:
            if let endpoint = SimulatedRequest.Endpoint(rawValue: path) {
                return ([.POST], { [self] in generate($0, $1, endpoint: endpoint) })
            }
            return responses.route(path)
        }
    }

    private func countTokens(_ exchange: SimulatedExchange, _ body: [UInt8]) {
        do throws(SimulatedAPIError) {
            let path = exchange.path
            let fields = try parser.chatFields(try SimulatedRequestParser.fields(body, path: path), .messages)
            let tokens = try SimulatedChatTemplate.tokens(fields, path: path)
            exchange.respond(status: 200, body: #"{"input_tokens":\#(tokens.count)}"#)
        } catch { exchange.fail(error, endpoint: .messages) }
    }

    private func models() -> String {
        let model = JSONString.encode(configuration.model)
        return #"{"object":"list","data":[{"id":\#(model),"object":"model","created":\#(HTTPDate.now()),"#
            + #""owned_by":"vllm","root":\#(model),"parent":null,"max_model_len":\#(configuration.maximumModelLength),"#
            + #""permission":[{"id":"modelperm-\#(randomHex(16))","object":"model_permission","#
            + #""created":\#(HTTPDate.now()),"allow_create_engine":false,"allow_sampling":true,"#
            + #""allow_logprobs":true,"allow_search_indices":false,"allow_view":true,"allow_fine_tuning":false,"#
            + #""organization":"*","group":null,"is_blocking":false}]}]}"#
    }

    private func tokenize(_ exchange: SimulatedExchange, _ body: [UInt8]) {
        do throws(SimulatedAPIError) {
            let fields = try SimulatedRequestParser.fields(body, path: "/tokenize")
            let reader = FieldReader(fields: fields, path: "/tokenize")
            if let model = try reader.string("model"), model != configuration.model { throw .unknownModel(model) }
            let tokens: [Int]
            if let prompt = try reader.string("prompt") {
                tokens = SimulatedTokenizer.shared.tokenize(prompt)
            } else {
                tokens = try SimulatedChatTemplate.tokens(fields, path: "/tokenize")
            }
            var names = "null"
            if try reader.bool("return_token_strs") ?? false {
                let vocabulary = SimulatedVocabulary.shared
                names = "[\(tokens.map { JSONString.encode(vocabulary.name(of: $0)) }.joined(separator: ","))]"
            }
            exchange.respond(
                status: 200,
                body: #"{"count":\#(tokens.count),"max_model_len":\#(configuration.maximumModelLength),"#
                    + #""tokens":\#(AnswerContext.list(tokens)),"token_strs":\#(names)}"#)
        } catch { exchange.fail(error) }
    }

    private func detokenize(_ exchange: SimulatedExchange, _ body: [UInt8]) {
        do throws(SimulatedAPIError) {
            let fields = try SimulatedRequestParser.fields(body, path: "/detokenize")
            let reader = FieldReader(fields: fields, path: "/detokenize")
            if let model = try reader.string("model"), model != configuration.model { throw .unknownModel(model) }
            let tokens = try reader.integers("tokens")
            let text = SimulatedTokenizer.shared.detokenize(tokens)
            exchange.respond(status: 200, body: #"{"prompt":\#(JSONString.encode(text))}"#)
        } catch { exchange.fail(error) }
    }

    private func injectFaults(_ exchange: SimulatedExchange, _ body: [UInt8]) {
        guard let view = try? JSONView(parsing: body), view.kind == .object else {
            return exchange.respond(status: 400, body: #"{"detail":"a JSON object is expected"}"#)
        }
        var faults = self.faults
        faults.merge(view)
        exchange.respond(status: 200, body: "{}")
        inject(faults)
    }

    /// Replaces the faults; those that act at once do.
    func inject(_ faults: SimulatedFaults) {
        self.faults = faults
        self.faults.die = false
        self.faults.closeIdle = false
        self.faults.dieIfHung = false
        scheduler.holdsPrefills = faults.holdPrefills
        scheduler.holdsDecodes = faults.holdDecodes
        if faults.closeIdle { closeIdleConnections() }
        if faults.die || (faults.dieIfHung && hasHung) { die() }
    }
}
