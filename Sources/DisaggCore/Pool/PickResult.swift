/// The outcome of a pick.
package enum PickResult<Chosen> {
    case chosen(Chosen)
    /// Backends are up, and all of them have as much as they may have: wait.
    case full
    /// No backend is left to try.
    case none
}
