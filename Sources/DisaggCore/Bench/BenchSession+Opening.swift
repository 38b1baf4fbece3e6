internal import NIOCore

/// What a session asks the server before it sends load: its model, and what words are worth in tokens.
extension BenchSession {
    /// Answers of a file that are counted where only the time ends a run: a few seconds at a real server.
    private static let maximumCounted = 5000

    func askForModel() {
        ask(BenchRequestWriter.modelsRequest(settings)) { [self] exchange, fault in
            switch fault {
            case nil: break
            case let fault? where fault.kind == .connect:
                return fail("cannot connect to \(settings.target): \(mask(fault.detail)); is the server running?")
            case let fault?:
                return fail(
                    "\(settings.target)/v1/models was not answered (\(fault.kind): \(mask(fault.detail))); "
                        + "name the model with --model")
            }
            guard let name = exchange.modelName else {
                return fail("\(settings.target)/v1/models names no model; name it with --model")
            }
            calibrate(name)
        }
    }

    /// Settles how prompts are written.
    func calibrate(_ model: String) {
        if settings.dataset.kind == .sharegpt, settings.promptForm != .words {
            // Without a number of requests nobody knows how many are needed.
            let count = settings.requests.map { $0 + settings.warmup } ?? Self.maximumCounted
            return countAnswers(BenchWorkload(settings).upcoming(count), model)
        }
        // Text of a file is sent as it is, and bytes need no tokens.
        let needsTokens = settings.promptBytes == nil && settings.dataset.kind != .sharegpt
        let ids: PromptVocabulary? = settings.endpoint == .completions ? .ids : nil
        guard needsTokens, settings.promptForm != .words else { return begin(model, .unchecked) }
        if settings.promptForm == .ids { return begin(model, ids ?? .unchecked) }
        let calibration = PromptCalibration(fallback: ids ?? .unchecked)
        follow(calibration.next, of: calibration, model: model)
    }

    private func follow(_ step: PromptCalibration.Step, of calibration: PromptCalibration, model: String) {
        switch step {
        case .done(let vocabulary): begin(model, vocabulary)
        case .count(let text):
            ask(BenchRequestWriter.countRequest(settings, model: model, text: text)) { [self] exchange, fault in
                var calibration = calibration
                follow(calibration.take(Self.count(exchange, fault)), of: calibration, model: model)
            }
        }
    }

    /// Asks how long a file's answers are, one after the other, until the server does not tell.
    private func countAnswers(_ left: ArraySlice<Int>, _ model: String) {
        guard let index = left.first, let text = settings.dataset.items[index].answer else {
            return begin(model, .unchecked)
        }
        ask(BenchRequestWriter.countRequest(settings, model: model, answer: text)) { [self] exchange, fault in
            guard let count = Self.count(exchange, fault) else { return begin(model, .unchecked) }
            settings.dataset.items[index].outputTokens = max(1, count)
            countedAnswers += 1
            countAnswers(left.dropFirst(), model)
        }
    }

    /// What a server says to the question for a number of tokens; nil where it says nothing.
    private static func count(_ exchange: BenchExchange, _ fault: AnswerReader.Fault?) -> Int? {
        let answer = fault == nil ? try? JSONView(parsing: exchange.answer.body) : nil
        return answer?["count"]?.int ?? answer?["tokens"]?.elements.count
    }

    private func ask(_ request: ByteBuffer, _ completion: @escaping (BenchExchange, AnswerReader.Fault?) -> Void) {
        var demands = AnswerReader.Demands()
        demands.isStream = false
        let exchange = BenchExchange(
            request: request, startedAt: Self.now(), demands: demands, completion: completion)
        // A server that lets a small question hang is taken for one that does not know the answer.
        exchange.maximumTime = 10_000_000_000
        send(exchange)
    }
}
