/// The counters behind `GET /metrics`, under vLLM's names (fixture 21).
struct EngineMetrics {
    var promptTokens = 0
    /// Prompt tokens whose KV came from another engine.
    var loadedPromptTokens = 0
    var generationTokens = 0
    /// Requests ended, by vLLM's `finished_reason`.
    var finished: [FinishReason: Int] = [:]
    /// Tokens whose KV is in use.
    var usedTokens = 0

    /// Tokens the KV cache of the calibrated engine holds (`kv_cache_tokens`).
    static let cacheTokens = 553_344

    /// Prometheus text.
    func text(model: String, running: Int, waiting: Int, created: Int) -> String {
        let label = model.split(separator: "\"").joined(separator: "\\\"")
        let labels = #"engine="0",model_name="\#(label)""#
        var lines: [String] = []
        func gauge(_ name: String, _ value: Double) {
            lines.append("# TYPE vllm:\(name) gauge")
            lines.append("vllm:\(name){\(labels)} \(value)")
        }
        func counter(_ name: String, _ value: Int) {
            lines.append("# TYPE vllm:\(name)_total counter")
            lines.append("vllm:\(name)_total{\(labels)} \(Double(value))")
            lines.append("# TYPE vllm:\(name)_created gauge")
            lines.append("vllm:\(name)_created{\(labels)} \(Double(created))")
        }
        gauge("num_requests_running", Double(running))
        gauge("num_requests_waiting", Double(waiting))
        gauge("kv_cache_usage_perc", min(1, Double(usedTokens) / Double(Self.cacheTokens)))
        counter("prefix_cache_queries", 0)
        counter("prefix_cache_hits", 0)
        counter("external_prefix_cache_queries", promptTokens)
        counter("external_prefix_cache_hits", loadedPromptTokens)
        counter("num_preemptions", 0)
        counter("prompt_tokens", promptTokens)
        lines.append("# TYPE vllm:prompt_tokens_by_source_total counter")
        let computed = promptTokens - loadedPromptTokens
        for (source, count) in [
            ("local_compute", computed), ("local_cache_hit", 0), ("external_kv_transfer", loadedPromptTokens),
        ] {
            lines.append("vllm:prompt_tokens_by_source_total{\(labels),source=\"\(source)\"} \(Double(count))")
        }
        counter("prompt_tokens_cached", loadedPromptTokens)
        counter("generation_tokens", generationTokens)
        lines.append("# TYPE vllm:request_success_total counter")
        for reason in [FinishReason.stop, .length, .abort, .error] {
            lines.append(
                #"vllm:request_success_total{engine="0",finished_reason="\#(reason.rawValue)",model_name="\#(label)"} "#
                    + "\(Double(finished[reason] ?? 0))")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
