/// Why an engine cannot serve a load at all.
enum PlanShortage: Error, Sendable, Hashable {
    /// The first token takes this long, in ms, even without a queue.
    case ttft(Double)
    /// A token takes this long, in ms, even alone.
    case tpot(Double)
    /// It does not fit the GPU's memory.
    case memory(String)
    /// The hand-off or the engine rules it out.
    case rule(String)
}
