/// The members of a pool at one moment. A change makes a new snapshot; a request that has one is not disturbed.
package final class PoolSnapshot: Sendable {
    /// Rises with each change of the membership.
    package let generation: Int
    package let prefill: [BackendState]
    package let decode: [BackendState]
    let prefillMeters: [BackendMeter]
    let decodeMeters: [BackendMeter]

    package init(generation: Int, prefill: [BackendState], decode: [BackendState]) {
        self.generation = generation
        self.prefill = prefill
        self.decode = decode
        prefillMeters = prefill.map(\.meter)
        decodeMeters = decode.map(\.meter)
    }

    /// Prefill backends, then decode backends.
    package var all: [BackendState] { prefill + decode }

    /// The backends of one role, by rising serial.
    package func backends(_ role: BackendRole) -> [BackendState] { role == .prefill ? prefill : decode }

    /// Whether a role has more than one backend.
    package var hasChoice: Bool { prefill.count > 1 || decode.count > 1 }

    func meters(_ role: BackendRole) -> [BackendMeter] { role == .prefill ? prefillMeters : decodeMeters }

    /// The backend with that id; nil where there is none.
    package func backend(id: String) -> BackendState? {
        prefill.first { $0.backend.id == id } ?? decode.first { $0.backend.id == id }
    }
}
