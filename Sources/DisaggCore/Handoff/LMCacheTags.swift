/// The members of a client's `kv_transfer_params` that are LMCache's settings of one request.
///
/// Their names begin with `lmcache.`. Tags among them are part of the cache keys, so both legs need them. They are the only
/// members of a client's parameters that reach an engine. Source: LMCache 0.5.6 `integration/vllm/utils.py` 130-151.
enum LMCacheTags {
    /// Keeps a prefill from sending its KV, and its notification from coming.
    private static let skipsSaving = "lmcache.skip_save"

    /// The members as JSON text, one an element; those that would break the hand-off are left out.
    static func members(_ request: GenerationRequest) -> [String] {
        var tags: [String] = []
        request.members.json("kv_transfer_params")?.forEachMember { name, value in
            guard name.hasPrefix("lmcache."), name != skipsSaving else { return }
            tags.append(JSONString.encode(name) + ":" + value.rawString)
        }
        return tags
    }

    /// A leg: the splice applied, with the client's tags.
    static func leg(
        _ request: GenerationRequest, path: GenerationRequest.Endpoint, _ splice: JSONSplice
    ) -> LegRequest {
        var splice = splice
        let tags = members(request)
        if !tags.isEmpty { splice.set("kv_transfer_params", json: "{" + tags.joined(separator: ",") + "}") }
        return LegRequest(path: path.rawValue, body: splice.apply(to: request.body, request.table))
    }
}
