import DisaggCore
import Testing

@Suite struct PredictionQuestionTests {
    private func question(_ change: (inout PredictionQuestion) -> Void) -> PredictionQuestion {
        var engine = EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H200")
        engine.isEager = true
        var question = PredictionQuestion(engine: engine)
        question.requests = 200
        change(&question)
        return question
    }

    private func json(_ change: (inout PredictionQuestion) -> Void) throws -> JSONView {
        try JSONView(parsing: try question(change).answer(asJSON: true))
    }

    @Test func aPromptsAnswerHasTheFourMembers() throws {
        let answer = try json { $0.prefillTokens = 4_096 }
        let value = try #require(answer["prefillMilliseconds"]?.double)
        #expect(abs(value / 107.8 - 1) < 0.1)
        let (low, high) = (try #require(answer["low"]?.double), try #require(answer["high"]?.double))
        #expect(low < value && value < high)
        #expect(answer["basis"]?.string?.isEmpty == false)
    }

    @Test func aStepsAnswerHasTheFourMembers() throws {
        let answer = try json {
            $0.decodeBatch = 16
            $0.contextTokens = 596
        }
        #expect(abs(try #require(answer["stepMilliseconds"]?.double) / 15.15 - 1) < 0.15)
    }

    /// The one pair run among the calibration's rows, which is in no fit of the cost model.
    @Test func theMeasuredPairIsMet() throws {
        let answer = try json {
            $0.load.input = "2000"
            $0.load.output = "100"
            $0.load.rate = 4
            $0.load.handoff = "lmcache"
        }
        let ttft = try #require(answer["ttftMilliseconds"]?["mean"]?.double)
        let tpot = try #require(answer["tpotMilliseconds"]?["mean"]?.double)
        #expect(abs(ttft / 59.381 - 1) < 0.15, "\(ttft)")
        #expect(abs(tpot / 19.825 - 1) < 0.15, "\(tpot)")
        let goodput = try #require(answer["goodput"]?.double)
        #expect(abs(goodput - 4) < 0.1)
        #expect(answer["ttftMilliseconds"]?["p99"]?.double != nil && answer["tpotMilliseconds"]?["p50"]?.double != nil)
    }

    @Test func theCapacityIsInTokens() throws {
        let answer = try json {
            $0.asksCapacity = true
            $0.load.utilization = 0.6
        }
        #expect(abs(Double(try #require(answer["kvTokens"]?.int)) / 553_344 - 1) < 0.015)
    }

    @Test func questionsThatMakeNoSenseSayWhatToDo() {
        let wrong: [(String, (inout PredictionQuestion) -> Void)] = [
            ("nothing is asked", { _ in }), ("--context-tokens", { $0.decodeBatch = 4 }),
            ("2 questions", { ($0.prefillTokens, $0.asksCapacity) = (4, true) }),
            ("--prefill-tokens: expected", { $0.prefillTokens = 0 }),
            ("is not in the table", { ($0.prefillTokens, $0.engine.gpu) = (4, "Voodoo2") }),
            ("config.json", { ($0.prefillTokens, $0.engine.model) = (4, "acme/unknown-9b") }),
            ("--dtype", { ($0.prefillTokens, $0.engine.dataType) = (4, "fp3") }),
            ("does not divide", { ($0.prefillTokens, $0.engine.tensorParallel) = (4, 3) }),
            ("--handoff", { ($0.load.input, $0.load.output, $0.load.rate, $0.load.handoff) = ("1", "1", 1, "pigeon") }),
            ("--isl: expected", { ($0.load.input, $0.load.output, $0.load.rate) = ("many", "1", 1) }),
            (
                "--slo",
                { ($0.load.input, $0.load.output, $0.load.rate, $0.load.objectives) = ("10", "10", 1, "ttft=soon") }
            ),
            ("does not fit", { ($0.load.input, $0.load.output, $0.load.rate) = ("3000000", "10", 1) }),
        ]
        for (text, change) in wrong {
            #expect { try self.question(change).answer(asJSON: true) } throws: {
                ($0 as? CommandError)?.exitStatus == 2 && "\($0)".contains(text)
            }
        }
    }
}
