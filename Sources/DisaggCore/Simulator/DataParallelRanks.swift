/// Which data-parallel rank of an engine serves a request, and what the ranks are called.
struct DataParallelRanks {
    let count: Int
    private var next = 0

    init(count: Int) { self.count = max(1, count) }

    /// The rank that `X-data-parallel-rank` names, else the next in turn.
    ///
    /// What is no integer is ignored silently (vLLM 0.33.0 `generate/base/serving.py` 216-228); so is a rank that does not
    /// exist.
    mutating func pick(_ header: String?) -> Int {
        if let rank = header.flatMap({ Int($0) }), (0..<count).contains(rank) { return rank }
        defer { next = (next + 1) % count }
        return next
    }

    /// An engine's id with vLLM's suffix for a rank (`v1/engine/core.py` 1488-1494).
    func engineID(_ id: String, rank: Int) -> String { count > 1 ? "\(id)_dp\(rank)" : id }
}
