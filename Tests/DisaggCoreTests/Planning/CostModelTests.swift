import DisaggCore
import Testing

@Suite struct CostModelTests {
    @Test func longerPromptsAndLargerBatchesTakeLonger() throws {
        for eager in [true, false] {
            let model = try PlanningFixture.h200(eager: eager).model
            let prompts = [1, 128, 512, 1024, 4096, 8192, 8193, 30_000, 120_000].map {
                model.promptMilliseconds(tokens: $0)
            }
            #expect(zip(prompts, prompts.dropFirst()).allSatisfy { $0 < $1 })
            // A host that waits for one request launches slower.
            let steps = ((eager ? [] : [1, 2]) + [16, 64, 128, 512]).map {
                model.decodeMilliseconds(batch: $0, context: 2_000)
            }
            #expect(zip(steps, steps.dropFirst()).allSatisfy { $0 <= $1 })
        }
    }

    @Test func attentionGrowsWithTheSquareOfALongPrompt() throws {
        let model = try PlanningFixture.h200(eager: false).model
        let ratio = model.promptWork(tokens: 200_000, cached: 0) / model.promptWork(tokens: 100_000, cached: 0)
        #expect(ratio > 3.9 && ratio < 4.1)
    }

    @Test func aPromptInPiecesDoesTheSameAttention() throws {
        let model = try PlanningFixture.h200(eager: false).model
        let whole = model.promptWork(tokens: 64_000, cached: 0)
        let pieces = (0..<8).map { model.promptWork(tokens: 8_000, cached: 8_000 * $0) }.reduce(0, +)
        #expect(abs(pieces / whole - 1) < 0.1)
    }

    @Test func withoutGraphsASmallStepTakesAsLongAsItsLaunches() throws {
        let eager = try PlanningFixture.h200(eager: true).model
        let graphs = try PlanningFixture.h200(eager: false).model
        #expect(
            eager.decodeMilliseconds(batch: 1, context: 500) > 2.5 * graphs.decodeMilliseconds(batch: 1, context: 500))
        let long = eager.promptMilliseconds(tokens: 16_000) / graphs.promptMilliseconds(tokens: 16_000)
        #expect(long > 0.99 && long < 1.03)
    }

    @Test func ranksShareTheWorkAndPayForTheirSums() throws {
        let one = try PlanningFixture.h200(eager: false).model.promptMilliseconds(tokens: 8_000)
        let two = try PlanningFixture.h200(eager: false, tensorParallel: 2).model.promptMilliseconds(tokens: 8_000)
        #expect(two < 0.75 * one && two > 0.5 * one)
    }

    @Test func expertsAreReadOnlyWhereTheyAreUsed() throws {
        var description = EngineDescription(model: "Qwen/Qwen3-30B-A3B", gpu: "H100")
        let model = try description.predictor().model
        let one = model.decodeMilliseconds(batch: 1, context: 100)
        let many = model.decodeMilliseconds(batch: 64, context: 100)
        description.model = "Qwen/Qwen3-32B"
        #expect(one < 0.5 * (try description.predictor().model.decodeMilliseconds(batch: 1, context: 100)))
        #expect(many > 1.8 * one)
        #expect(try description.predictor().basis.contains("unvalidated") == false)
        description.model = "deepseek-ai/DeepSeek-V3"
        description.tensorParallel = 8
        let prediction = try description.predictor().step(batch: 8, context: 1_000)
        #expect(prediction.basis.contains("unvalidated: latent attention"))
        #expect(prediction.high / prediction.value > 1.45)
    }
}
