@testable import DisaggCore

/// What goes wrong in a cell of the fault matrix.
enum Fault: String, CaseIterable, Sendable {
    case none = "nothing"
    case clientGoneInPrefill = "client gone during prefill"
    case clientGoneInDecode = "client gone before the first byte of decode"
    case clientGoneInStream = "client gone in the middle of the stream"
    case prefillRefused = "P refuses connections"
    case prefillRejects = "P answers 400"
    case prefillErrs = "P answers 500"
    case prefillDies = "P dies of the request"
    case prefillDiesLate = "P dies after its first token"
    case prefillHangs = "P hangs"
    case decodeRefused = "D refuses connections"
    case decodeRejects = "D answers 400"
    case decodeErrs = "D answers 500"
    case decodeOverloaded = "D answers 503"
    case decodeDies = "D dies of the request"
    case decodeHangs = "D hangs"
    case decodeDiesInStream = "D dies in the middle of its answer"
    case noticeLost = "notification lost"
    case noticeLate = "notification late"
    case noticeDoubled = "notification doubled"
    case prefillRestarted = "P restarted, what it told is stale"
    case leaseExpired = "lease expired before D came"

    /// Whether the fault can happen under a hand-off, to a stream or not.
    func applies(to topology: Topology, isStream: Bool) -> Bool {
        let kind = topology.handoff
        switch self {
        case .clientGoneInStream: return isStream
        case .noticeLost, .noticeLate, .noticeDoubled: return [.lmcache, .lmcacheMP].contains(kind)
        case .leaseExpired:
            return [.nixl, .nixlPush, .mooncake, .moriio, .offloadP2P, .sglang, .trtllm, .llmd].contains(kind)
        case .clientGoneInPrefill, .prefillRefused, .prefillRejects, .prefillErrs, .prefillDies, .prefillDiesLate,
            .prefillHangs, .prefillRestarted:
            return kind != .none
        default: return true
        }
    }

    /// The role of the engines it strikes; nil where it strikes none, or the client.
    var role: BackendRole? {
        switch self {
        case .none, .clientGoneInPrefill, .clientGoneInDecode, .clientGoneInStream: nil
        case .decodeRefused, .decodeRejects, .decodeErrs, .decodeOverloaded, .decodeDies, .decodeHangs,
            .decodeDiesInStream:
            .decode
        default: .prefill
        }
    }

    /// Whether the client leaves.
    var isClients: Bool { [.clientGoneInPrefill, .clientGoneInDecode, .clientGoneInStream].contains(self) }

    /// What engines are told; one of them is struck, once.
    var injection: SimulatedFaults? {
        var faults = SimulatedFaults()
        switch self {
        case .prefillRejects, .decodeRejects: (faults.refuse, faults.refuseStatus) = (1, 400)
        case .prefillErrs, .decodeErrs: (faults.refuse, faults.refuseStatus) = (1, 500)
        case .decodeOverloaded: (faults.refuse, faults.refuseStatus) = (1, 503)
        case .prefillDies, .decodeDies: faults.dieOnRequest = 1
        case .prefillDiesLate: faults.dieAfterTokens = 1
        case .decodeDiesInStream: faults.dieAfterTokens = 3
        case .prefillHangs, .decodeHangs: faults.hang = 1
        case .noticeLost: faults.dropNotifications = 1
        case .noticeLate: faults.delayNotification = 900
        case .noticeDoubled: faults.duplicateNotifications = 1
        case .leaseExpired: faults.expireOffers = 1
        default: return nil
        }
        return faults
    }
}
