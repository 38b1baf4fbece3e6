extension ModelShape {
    /// Parameters of one attention block.
    public var attentionParameters: Int {
        if let latent {
            let head = latent.plainDimension + latent.rotaryDimension
            let query =
                latent.queryRank.map { hiddenSize * $0 + $0 * attentionHeads * head }
                ?? hiddenSize * attentionHeads * head
            let down = hiddenSize * (latent.kvRank + latent.rotaryDimension)
            let up = latent.kvRank * attentionHeads * (latent.plainDimension + latent.valueDimension)
            return query + down + up + attentionHeads * latent.valueDimension * hiddenSize
        }
        return 2 * hiddenSize * headDimension * (attentionHeads + kvHeads)
    }

    /// Layers whose feed-forward block is made of experts.
    public var expertLayers: Int {
        guard let experts else { return 0 }
        return max(0, layers - experts.denseLayers) / max(1, experts.step)
    }

    /// Parameters of all matrices but embedding and output head.
    public var linearParameters: Int { linearParameters(activeOnly: false) }

    /// Parameters of all matrices but embedding and output head that one token goes through.
    public var activeLinearParameters: Int { linearParameters(activeOnly: true) }

    /// Parameters of the embedding table and, where it is not the same, the output head.
    public var embeddingParameters: Int { vocabulary * hiddenSize * (tiesEmbeddings ? 1 : 2) }

    /// All parameters but norms and biases, which are below a thousandth.
    public var parameters: Int { linearParameters + embeddingParameters }

    private func linearParameters(activeOnly: Bool) -> Int {
        let matrices = hasGatedFeedForward ? 3 : 2
        let dense = matrices * hiddenSize * feedForwardSize
        var total = layers * attentionParameters + (layers - expertLayers) * dense
        if let experts {
            let routed = (activeOnly ? min(experts.active, experts.count) : experts.count) * experts.size
            let router = hiddenSize * experts.count
            total += expertLayers * (matrices * hiddenSize * (routed + experts.sharedSize) + router)
        }
        return total
    }

    /// Bytes of all weights: quantised matrices, and embedding and head in ``valueBytes``.
    public var weightBytes: Int {
        let head = embeddingParameters * valueBytes
        if quantization == "mxfp4", let experts {
            // Only the experts are: 4 bits and a byte of scale for 32 values, in rows that vLLM fills up to 256 values.
            let routed =
                expertLayers * experts.count * (hasGatedFeedForward ? 3 : 2) * hiddenSize * experts.size
            let rows = (experts.size + 255) / 256 * 256
            return Int(Double(routed) * 4.25 / 8 * Double(rows) / Double(max(1, experts.size)))
                + (linearParameters - routed) * valueBytes + head
        }
        return (quantizedBits.map { linearParameters / 8 * $0 } ?? linearParameters * valueBytes) + head
    }

    /// Bytes of weights in the largest rank.
    public func weightBytes(tensorParallel: Int, pipelineParallel: Int = 1) -> Int {
        let ranks = max(1, tensorParallel) * max(1, pipelineParallel)
        return (weightBytes + ranks - 1) / ranks
    }

    /// Bytes of one token's KV cache in one rank, all layers counted as full attention, as LMCache stores it.
    ///
    /// Source: checked against LMCache 0.5.6's own calculation.
    /// - Parameters:
    ///   - tensorParallel: ranks that share the heads; a head is never split, and a latent cache is whole on each.
    ///   - pipelineParallel: stages that share the layers; the largest stage counts.
    ///   - valueBytes: bytes of a KV value; the weights' own where nil, 1 for fp8.
    ///   - draftLayers: layers of a draft model that are stored too (MTP, EAGLE).
    public func kvBytesPerToken(
        tensorParallel: Int = 1, pipelineParallel: Int = 1, valueBytes: Int? = nil, draftLayers: Int = 0
    ) -> Int {
        let stages = max(1, pipelineParallel)
        let ownLayers = max(0, layers - stateLayers)
        let stageLayers = (ownLayers + stages - 1) / stages + max(0, draftLayers)
        return stageLayers * kvValuesPerLayer(tensorParallel: tensorParallel) * (valueBytes ?? self.valueBytes)
    }

    /// Values that one layer keeps for one token in one rank.
    public func kvValuesPerLayer(tensorParallel: Int = 1) -> Int {
        if let latent { return latent.kvRank + latent.rotaryDimension }
        // Where ranks outnumber heads, each head is kept by several ranks.
        let ranks = max(1, tensorParallel)
        return 2 * max(1, (kvHeads + ranks - 1) / ranks) * headDimension
    }
}
