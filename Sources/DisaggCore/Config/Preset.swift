/// A deployment file that comes with the package, to start from.
package struct Preset: Sendable, Hashable {
    /// What it is called on the command line.
    package var name: String
    /// What it is, in one line.
    package var summary: String
    /// The deployment file, comments included.
    package var yaml: String

    /// All presets, smallest first.
    package static let all = [
        Preset(
            name: "1p1d", summary: "one prefill and one decode engine: the smallest disaggregated deployment, 2 GPUs",
            prefill: 1, decode: 1),
        Preset(
            name: "xp1d", summary: "two prefill engines share one decode engine: long prompts, short answers, 3 GPUs",
            prefill: 2, decode: 1),
        Preset(
            name: "xpyd", summary: "two prefill and two decode engines: any prefill can feed any decode, 4 GPUs",
            prefill: 2, decode: 2),
        Preset(
            name: "tp2", summary: "one prefill and one decode engine on two GPUs each, 4 GPUs", prefill: 1, decode: 1,
            model: "Qwen/Qwen3-32B", tensorParallel: 2),
        Preset(
            name: "pp2", summary: "one prefill and one decode engine of two stages of two GPUs, 8 GPUs", prefill: 1,
            decode: 1, model: "meta-llama/Llama-3.3-70B-Instruct", tensorParallel: 2, pipelineParallel: 2),
        Preset(
            name: "mla", summary: "a model with latent attention on 8 GPUs for each engine, 16 GPUs", prefill: 1,
            decode: 1, model: "deepseek-ai/DeepSeek-V2", tensorParallel: 8),
        Preset(
            name: "tiers", summary: "as 1p1d, and the prefill engine keeps KV in host memory, 2 GPUs", prefill: 1,
            decode: 1,
            lmcache: ["cpuTier: 20GiB           # pinned host memory, for each rank of a prefill engine"]),
        Preset(
            name: "nixl", summary: "as 1p1d with vLLM's own NixlConnector, 2 GPUs", prefill: 1, decode: 1,
            handoff: .nixl),
    ]

    /// Their names in one line.
    package static var names: String { all.map(\.name).joined(separator: ", ") }

    /// Their names and what they are, a preset a line.
    package static var list: String {
        let width = all.map(\.name.count).max() ?? 0
        return all.map { preset in
            "\(preset.name)\(String(repeating: " ", count: width - preset.name.count))   \(preset.summary)\n"
        }.joined()
    }

    /// The preset of that name.
    ///
    /// - Throws: ``CommandError`` that lists what there is.
    package static func find(_ name: String) throws(CommandError) -> Preset {
        if let preset = named(name) { return preset }
        let hint = EditDistance.nearest(to: name, among: all.map(\.name)).map { "; did you mean \($0)?" } ?? ""
        throw CommandError("there is no preset \"\(name)\"; there are \(names)\(hint)")
    }

    /// The preset of that name; nil where there is none. Case counts for nothing.
    package static func named(_ name: String) -> Preset? {
        all.first { $0.name == name.lowercased() }
    }

    private init(
        name: String, summary: String, prefill: Int, decode: Int, model: String = "meta-llama/Llama-3.1-8B-Instruct",
        tensorParallel: Int = 1, pipelineParallel: Int = 1, handoff: HandoffKind = .lmcache, lmcache: [String] = []
    ) {
        self.name = name
        self.summary = summary
        // Ranks count up from one port to the next: each has two of its own.
        let ranks = tensorParallel * pipelineParallel
        let stages = pipelineParallel > 1 ? "\n  pipelineParallel: \(pipelineParallel)" : ""
        let more = lmcache.map { "\n  \($0)" }.joined()
        func engines(_ count: Int) -> String { count == 1 ? "one engine" : "\(count) engines" }
        func ports(_ first: Int, _ count: Int) -> String {
            count == 1 ? "\(first)" : "\(first) to \(first + count - 1)"
        }
        yaml = """
            # \(name): \(summary).
            # Start it with `disagg-launch up \(name)`, or save this text, edit it and start that file.
            # Without a GPU the engines are simulated. Fields that are left out keep their defaults.

            # Hugging Face name or local path; the same text on every engine.
            model: \(model)

            # How the KV cache gets from prefill to decode: lmcache, lmcache-legacy, nixl, plain or none.
            handoff: \(handoff.rawValue)

            # Who samples the first token. decode: the whole API works. prefill: lowest time to first token.
            firstToken: decode

            # vllm, simulated, or auto: vllm where a GPU is found.
            engine: auto

            # Computes prompts: \(engines(prefill)), HTTP on \(ports(8100, prefill)).
            prefill:
              replicas: \(prefill)
              tensorParallel: \(tensorParallel)        # GPUs for each engine\(stages)
              port: 8100               # engine i listens on 8100 + i

            # Generates tokens: \(engines(decode)), HTTP on \(ports(8200, decode)).
            decode:
              replicas: \(decode)
              tensorParallel: \(tensorParallel)        # lmcache needs the same number as in prefill\(stages)
              port: 8200
              initPort: 7300           # LMCache's KV receivers: \(ports(7300, decode * ranks)) and \(ports(7400, decode * ranks)), each rank its own
              allocPort: 7400

            # What clients talk to: an OpenAI-compatible server.
            proxy:
              listen: 0.0.0.0:9000
              notify: localhost:7500   # prefill engines report finished transfers here
              prefillTimeout: 300s     # a prompt must be computed within this time
              drainTimeout: 30s        # after Ctrl-C, answers in progress have this long to end

            # GPU memory for KV in transit is sized from the model, for each rank, beside vLLM's own. `disagg-launch config`
            # shows the sizes; prefillBufferBytes and decodeBufferBytes fix them.
            lmcache:
              concurrency: 2           # longest prompts on the way to one decode engine at the same time\(more)

            """
    }
}
