import ArgumentParser
import DisaggCore

/// Reads one of an enumeration's values; the complaint lists them.
func choice<Value: RawRepresentable & CaseIterable>(_ text: String) throws -> Value where Value.RawValue == String {
    guard let value = Value(rawValue: text) else {
        let names = Value.allCases.map(\.rawValue)
        let list = names.dropLast().joined(separator: ", ") + (names.count > 1 ? " or " : "") + (names.last ?? "")
        throw ValidationError("expected \(list), got \"\(text)\"")
    }
    return value
}

/// Reads a number within limits.
func number<Value: LosslessStringConvertible & Comparable & Sendable>(
    _ range: ClosedRange<Value>
) -> @Sendable (String) throws -> Value {
    reading("\(range.lowerBound)...\(range.upperBound)") { Value($0).flatMap { range.contains($0) ? $0 : nil } }
}

/// Reads seconds within limits.
func seconds(_ range: ClosedRange<Double>) -> @Sendable (String) throws -> Duration {
    let number = number(range)
    return { .seconds(try number($0)) }
}

/// Reads what a function can read; the complaint says what that is.
func reading<Value>(
    _ what: String, _ read: @escaping @Sendable (String) -> Value?
) -> @Sendable (String) throws -> Value {
    { text in
        guard let value = read(text) else { throw ValidationError("expected \(what), got \"\(text)\"") }
        return value
    }
}

/// Where a deployment runs.
struct RunDirectoryOptions: ParsableArguments {
    @Option(help: "The folder that `up` was given: logs, generated files and state.") var logDir = "logs"

    var path: String { ExecutableSearch.absolute(logDir) }
}

/// Options that replace fields of a deployment file, shared by the commands that read one.
struct DeploymentChanges: ParsableArguments {
    @Option(help: "Model name or path, in place of the file's.") var model: String?
    @Option(help: "The model's config.json, in place of the built-in table.") var modelConfig: String?
    @Option(
        help: "LMCache version to write for or to check against. Default: the installed one, or the newest known.",
        transform: reading("a version from 0.3.0 on") { text in
            LMCacheVersion(text).flatMap { $0 >= LMCacheVersion(0, 3, 0) ? $0 : nil }
        })
    var lmcacheVersion: LMCacheVersion?
    @Option(help: "Added to every port of the deployment. (default: 0)", transform: number(-65535...65535))
    var portOffset = 0

    /// What a command asks the library for.
    func request(_ source: String, in directory: String) -> LaunchRequest {
        var request = LaunchRequest(source: source)
        request.readEnvironment()
        request.directory = ExecutableSearch.absolute(directory)
        request.model = model
        request.modelConfiguration = modelConfig.map { ExecutableSearch.absolute($0) }
        request.lmcacheVersion = lmcacheVersion
        request.portOffset = portOffset
        return request
    }
}
