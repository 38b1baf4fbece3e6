/// How many engines of which size: what the search chooses among.
public struct PlanLayout: Sendable, Hashable {
    /// Engines that are alike.
    public struct Part: Sendable, Hashable {
        /// Engines.
        public var count: Int
        /// Ranks of each.
        public var tensorParallel: Int
        /// `max_num_batched_tokens`.
        public var batchedTokens: Int
        /// `max_num_seqs`.
        public var sequences: Int

        /// GPUs they take.
        public var gpus: Int { count * tensorParallel }
    }

    /// Prefill engines; nil where every engine does both.
    public var prefill: Part?
    /// Decode engines, or engines that do both.
    public var decode: Part

    /// GPUs it takes.
    public var gpus: Int { (prefill?.gpus ?? 0) + decode.gpus }

    /// Whether prefill and decode are apart.
    public var isDisaggregated: Bool { prefill != nil }

    /// `5P×TP1 + 3D×TP1`, or `8×TP1 together`.
    public var name: String {
        if let prefill {
            return "\(prefill.count)P×TP\(prefill.tensorParallel) + \(decode.count)D×TP\(decode.tensorParallel)"
        }
        return "\(decode.count)×TP\(decode.tensorParallel) together, chunks of \(decode.batchedTokens)"
    }

    /// The engines in the order of a placement: prefill first.
    public var engines: [Placement.Engine] {
        let prefills = prefill.map { part in
            (0..<part.count).map { Placement.Engine(role: .prefill, replica: $0, size: part.tensorParallel) }
        }
        return (prefills ?? [])
            + (0..<decode.count).map { Placement.Engine(role: .decode, replica: $0, size: decode.tensorParallel) }
    }
}
