/// How long a simulated engine's steps take: the planner's cost model, so that a laptop shows what a plan promises.
package struct SimulatedTiming: Sendable {
    /// The name of the engine it plays: model and GPU.
    package var name: String
    /// Prompt tokens one step can take (`max_num_batched_tokens`).
    package var stepTokens: Int
    private let model: CostModel?
    private let constantMilliseconds: Double
    private let kvBytesPerToken: Int
    private let linkGigabytesPerSecond: Double
    /// What received KV caches cost; nil for an engine that receives none.
    private var profile: HandoffProfile?

    /// An engine by its cost model.
    package init(_ predictor: Predictor, name: String) {
        let setup = predictor.setup
        self.name = name
        model = predictor.model
        constantMilliseconds = 0
        stepTokens = setup.maximumBatchedTokens
        kvBytesPerToken = setup.shape.kvBytesPerToken(
            tensorParallel: setup.tensorParallel, valueBytes: setup.kvValueBytes)
        linkGigabytesPerSecond =
            setup.gpu.fabric == .switched ? setup.gpu.linkGigabytesPerSecond : setup.gpu.pcieGigabytesPerSecond
    }

    private init(constantMilliseconds: Double) {
        name = "constant"
        model = nil
        self.constantMilliseconds = constantMilliseconds
        stepTokens = 8_192
        kvBytesPerToken = 0
        linkGigabytesPerSecond = 1
    }

    /// The engine that a description names; for an unknown model, one of Llama-3.1-8B's shape.
    ///
    /// - Throws: ``CommandError`` for an unknown GPU, or ranks that vLLM refuses.
    package static func engine(_ description: EngineDescription) throws(CommandError) -> SimulatedTiming {
        var description = description
        var name = description.model
        do throws(CommandError) {
            _ = try description.shape()
        } catch {
            // A simulated engine serves any name; it needs some shape to play.
            description.model = "meta-llama/Llama-3.1-8B"
            name += " (timed as Llama-3.1-8B)"
        }
        let predictor = try description.predictor()
        return SimulatedTiming(predictor, name: "\(name) on \(predictor.setup.gpu.name)")
    }

    /// Llama-3.1-8B on an H200, with CUDA graphs.
    package static let h200Llama8B = llama(isEager: false)
    /// The same with `--enforce-eager`.
    package static let h200Llama8BEager = llama(isEager: true)

    private static func llama(isEager: Bool) -> SimulatedTiming {
        var description = EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H200")
        description.isEager = isEager
        // Both names are in the tables; a missing one would show in every test of the engine.
        return (try? engine(description)) ?? constant(milliseconds: 5)
    }

    /// Every step takes the same time, whatever it computes: a steady load for measuring what stands in front of engines.
    package static func constant(milliseconds: Double) -> SimulatedTiming {
        SimulatedTiming(constantMilliseconds: milliseconds)
    }

    /// The work of a prompt's next tokens, see ``StepTiming``.
    package func promptWork(tokens: Int, cached: Int) -> Double {
        model?.promptWork(tokens: tokens, cached: cached) ?? 0
    }

    /// Milliseconds of one step, see ``StepTiming``; 0 for a step of nothing.
    package func stepMilliseconds(
        prompts: Int, promptTokens: Int, work: Double, running: Int, contextTokens: Int
    ) -> Double {
        guard prompts > 0 || running > 0 else { return 0 }
        guard let model else { return constantMilliseconds }
        return model.stepMilliseconds(
            prompts: prompts, promptTokens: promptTokens, work: work, running: running, contextTokens: contextTokens)
            + (profile?.stepMilliseconds ?? 0)
    }

    /// Milliseconds that a request waits before it can be scheduled: reading it, and its KV cache's way here.
    ///
    /// - Parameters:
    ///   - computed: prompt tokens that are computed here.
    ///   - loaded: prompt tokens whose KV cache comes by the hand-off.
    package func waitMilliseconds(computed: Int, loaded: Int) -> Double {
        guard let model else { return 0 }
        if loaded > 0, let profile { return profile.wait(tokens: loaded) }
        return model.requestMilliseconds(promptTokens: computed)
    }

    /// Milliseconds for which the engine stands still when a request with that many loaded tokens joins.
    package func stallMilliseconds(loaded: Int) -> Double { loaded > 0 ? profile?.stall(tokens: loaded) ?? 0 : 0 }

    /// The same engine as the decode side of a hand-off.
    package func receiving(_ handoff: HandoffKind, firstToken: FirstTokenSource) -> SimulatedTiming {
        guard model != nil, handoff != .none else { return self }
        var timing = self
        timing.profile = HandoffProfile(
            handoff, firstToken: firstToken, kvBytesPerToken: kvBytesPerToken,
            linkGigabytesPerSecond: linkGigabytesPerSecond)
        return timing
    }
}
