/// What came of the last attempt to take over a changed deployment file.
struct ReloadOutcome: Sendable, Equatable {
    /// The file; nil where the proxy was started without one.
    var file: String?
    /// Milliseconds since 1970-01-01 UTC; nil before the first attempt.
    var time: Int64?
    /// Why the file was refused, one line for each problem; nil where it was taken over.
    var error: String?
    /// Backends that were added.
    var added: [String] = []
    /// Backends that leave once they are drained.
    var leaving: [String] = []
    /// Other fields that were taken over.
    var changed: [String] = []

    /// Adds the members to an object.
    func write(to json: inout JSONBuilder) {
        json.member("file", file)
        json.member("time", time.map { UTCTime.text(milliseconds: $0) })
        json.member("applied", time == nil ? false : error == nil)
        json.member("error", error)
        for (name, list) in [("added", added), ("leaving", leaving), ("changed", changed)] {
            json.array(name) { elements in for element in list { elements.element(element) } }
        }
    }
}
