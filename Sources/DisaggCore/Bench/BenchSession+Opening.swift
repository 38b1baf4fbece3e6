internal import NIOCore

/// What a session asks the server before it sends load: its model, and what words are worth in tokens.
extension BenchSession {
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
                let answer = fault == nil ? try? JSONView(parsing: exchange.answer.body) : nil
                let count = answer?["count"]?.int ?? answer?["tokens"]?.elements.count
                follow(calibration.take(count), of: calibration, model: model)
            }
        }
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
