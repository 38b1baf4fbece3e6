extension BenchSettings {
    /// Fills in what is not said about the load.
    ///
    /// Without a word about it, it is that of LMCache's example: thirty requests, one a second, nearly evenly. A rate arrives
    /// as a Poisson process; a closed loop lasts ten seconds; a trace is followed at its own times.
    ///
    /// - Parameters:
    ///   - burstiness: what was asked for.
    ///   - isSearch: rates are searched, beginning with ``rate``.
    package mutating func completeLoad(burstiness asked: Double?, isSearch: Bool) {
        let isDefault = rate == nil && concurrency == nil && !dataset.hasArrivals
        if isDefault || (isSearch && rate == nil) { rate = 1 }
        burstiness = asked ?? (isDefault && !isSearch && rampTo == nil ? 100 : 1)
        guard requests == nil, duration == nil, !followsTrace else { return }
        if rate == nil { duration = .seconds(10) } else { requests = 30 }
    }
}
