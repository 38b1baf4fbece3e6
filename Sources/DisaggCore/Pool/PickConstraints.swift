/// What a pick must respect.
package struct PickConstraints: Sendable {
    /// Prefill backends that failed this request already.
    package var triedPrefill: [BackendState] = []
    /// Decode backends that failed this request already.
    package var triedDecode: [BackendState] = []
    /// KV chunks the decoder needs room for; 0 where nothing is handed off.
    package var chunks = 0

    package init() {}

    func serials(_ role: BackendRole) -> [Int] {
        let tried = role == .prefill ? triedPrefill : triedDecode
        return tried.isEmpty ? [] : tried.map(\.meter.serial)
    }
}
