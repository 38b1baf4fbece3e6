/// The outcome of a pick.
package enum PickResult<Chosen> {
    case chosen(Chosen)
    /// Backends are up, and all of them have as much as they may have: wait.
    case full
    /// No backend is left to try.
    case none

    /// The same with what the chosen one is made into.
    func map<Other>(_ make: (Chosen) -> Other) -> PickResult<Other> {
        switch self {
        case .chosen(let chosen): .chosen(make(chosen))
        case .full: .full
        case .none: .none
        }
    }
}
