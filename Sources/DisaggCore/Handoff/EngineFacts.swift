/// What a prefill engine tells about itself while it runs, and what no configuration can know in advance.
package struct EngineFacts: Sendable, Equatable {
    /// Mooncake: the engine id of each data-parallel rank. Drawn anew at each start of the engine.
    package var engineIDs: [Int: String] = [:]
    /// TensorRT-LLM: where a generation server finds the context server (`ctx_info_endpoint`), as JSON text.
    package var contextEndpoint: String?

    package init() {}

    /// Reads a Mooncake bootstrap server's `/query`: `{"<rank>":{"engine_id":"…","worker_addr":{…}}}`.
    ///
    /// - Returns: nil where no rank has an engine id.
    /// - Source: vLLM 0.33.0 `kv_connector/v1/mooncake/mooncake_utils.py` 20-178.
    package static func mooncake(_ answer: JSONView) -> EngineFacts? {
        var facts = EngineFacts()
        answer.forEachMember { name, value in
            guard facts.engineIDs.count < maximumRanks, let rank = Int(name), rank >= 0,
                let id = value["engine_id"]?.string, id.utf8.count <= maximumIDBytes
            else { return }
            facts.engineIDs[rank] = id
        }
        return facts.engineIDs.isEmpty ? nil : facts
    }

    /// Reads a TensorRT-LLM context server's `/server_info`: `ctx_info_endpoint`, at the top or in `disaggregated_params`.
    package static func tensorRT(_ answer: JSONView) -> EngineFacts? {
        let endpoint = answer["disaggregated_params"]?["ctx_info_endpoint"] ?? answer["ctx_info_endpoint"]
        guard let endpoint, !endpoint.isNull, endpoint.raw.count <= maximumIDBytes else { return nil }
        var facts = EngineFacts()
        facts.contextEndpoint = endpoint.rawString
        return facts
    }

    private static let maximumRanks = 4096
    private static let maximumIDBytes = 4096
}

/// Facts that a protocol needs before its first leg.
package struct NeededFacts: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The engine ids of a Mooncake prefill engine's ranks, from its bootstrap server.
    package static let mooncakeEngineIDs = Self(rawValue: 1 << 0)
    /// Where a TensorRT-LLM context server is found by a generation server.
    package static let contextEndpoint = Self(rawValue: 1 << 1)
}
