import ArgumentParser
import DisaggCore

/// How processes are kept running.
struct SupervisionOptions: ParsableArguments {
    @Option(name: .customLong("ready-timeout"), help: "Seconds until all must be ready.")
    var readyTimeout = 1200.0
    @Option(help: "Seconds between asking engines to end and killing them.")
    var grace = 10.0
    @Option(
        name: .customLong("max-restarts"),
        help:
            "Restarts of one process within ten minutes before it is given up; 0 stops everything at the first failure."
    )
    var maximumRestarts = 5
    @Option(
        name: .customLong("hang-timeout"),
        help: "Seconds after which a process that answers no health request is killed and started again.")
    var hangTimeout = 60.0
    @Flag(
        name: .customLong("proof"), inversion: .prefixedNo,
        help: "Send a request through the proxy before the deployment counts as ready.")
    var proves = true
    @Option(
        name: .customLong("log-size"), help: "Size at which a log file is put aside, for example 64MiB.",
        transform: { text in
            guard let bytes = ConfigText.bytes(text), bytes >= 4096 else {
                throw ValidationError("expected a size of 4KiB or more, for example 64MiB, got \"\(text)\"")
            }
            return bytes
        })
    var logBytes = LogRotation().maximumBytes
    @Option(name: .customLong("log-keep"), help: "Old log files kept for each process.")
    var logKeep = 3

    func validate() throws {
        guard readyTimeout > 0, readyTimeout <= 604_800 else {
            throw ValidationError("--ready-timeout must be between 0 and 604800 seconds")
        }
        guard grace >= 0, grace <= 3600 else { throw ValidationError("--grace must be between 0 and 3600 seconds") }
        guard (0...1000).contains(maximumRestarts) else {
            throw ValidationError("--max-restarts: expected 0...1000, got \(maximumRestarts)")
        }
        guard hangTimeout >= 1, hangTimeout <= 86_400 else {
            throw ValidationError("--hang-timeout must be between 1 and 86400 seconds")
        }
        guard (0...100).contains(logKeep) else { throw ValidationError("--log-keep: expected 0...100, got \(logKeep)") }
    }

    var settings: Launcher.Settings {
        var settings = Launcher.Settings()
        settings.readyTimeout = .seconds(readyTimeout)
        settings.grace = .seconds(grace)
        settings.hangTimeout = .seconds(hangTimeout)
        settings.restarts.maximumRestarts = maximumRestarts
        settings.proves = proves
        settings.rotation.maximumBytes = logBytes
        settings.rotation.keeps = logKeep
        return settings
    }
}
