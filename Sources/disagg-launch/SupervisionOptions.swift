import ArgumentParser
import DisaggCore

/// How processes are kept running.
struct SupervisionOptions: ParsableArguments {
    @Option(help: "Seconds until all must be ready. (default: 1200)", transform: seconds(0.1...604_800))
    var readyTimeout = Duration.seconds(1200)
    @Option(help: "Seconds between asking engines to end and killing them. (default: 10)", transform: seconds(0...3600))
    var grace = Duration.seconds(10)
    @Option(
        help:
            "Restarts of one process within ten minutes before it is given up; 0 stops everything at the first failure. (default: 5)",
        transform: number(0...1000))
    var maxRestarts = 5
    @Option(
        help: "Seconds after which a process that answers no health request is killed and started again. (default: 60)",
        transform: seconds(1...86_400))
    var hangTimeout = Duration.seconds(60)
    @Flag(inversion: .prefixedNo, help: "Send a request through the proxy before the deployment counts as ready.")
    var proof = true
    @Option(
        help: ArgumentHelp("Size at which a log file is put aside. (default: 64MiB)", valueName: "64MiB"),
        transform: reading("a size of 4KiB or more, for example 64MiB") { text in
            ConfigText.bytes(text).flatMap { $0 >= 4096 ? $0 : nil }
        })
    var logSize: Int?
    @Option(help: "Old log files kept for each process. (default: 3)", transform: number(0...100)) var logKeep = 3

    func settings(of source: String) -> Launcher.Settings {
        var settings = Launcher.Settings()
        settings.source = source
        settings.readyTimeout = readyTimeout
        settings.grace = grace
        settings.hangTimeout = hangTimeout
        settings.restarts.maximumRestarts = maxRestarts
        settings.proves = proof
        if let logSize { settings.rotation.maximumBytes = logSize }
        settings.rotation.keeps = logKeep
        return settings
    }
}
