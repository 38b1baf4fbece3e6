internal import ArgumentParser
internal import DisaggCore

/// How the proxy is administered and what it logs.
struct OperatingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Address of the admin API and the live page, or \"off\". (default: 127.0.0.1, the port after --port's)",
            valueName: "host:port"))
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "File whose first line is the admin token. (default: the variable \(AdminSettings.tokenVariable))",
            valueName: "file"))
    var adminTokenFile: String?

    @Option(help: ArgumentHelp("File for one line a request; \"-\" is standard output.", valueName: "file"))
    var accessLog: String?

    @Option(help: ArgumentHelp("json or text. (default: json)", valueName: "format"))
    var accessLogFormat: String?

    @Flag(help: "Take the deployment file over whenever it changes, as SIGHUP does at once.")
    var watch = false

    /// Puts the flags in place of what the file says.
    func apply(to proxy: inout ProxySettings) throws(DisaggError) {
        if let admin {
            proxy.admin.isEnabled = admin != "off"
            proxy.admin.listen = proxy.admin.isEnabled ? try Endpoint(parsing: admin, flag: "--admin") : nil
        }
        if let adminTokenFile { proxy.admin.tokenFile = adminTokenFile }
        if let accessLog { proxy.accessLog.path = accessLog }
        if let accessLogFormat {
            guard let format = AccessLogFormat(rawValue: accessLogFormat) else {
                throw DisaggError(.badRequest, "--access-log-format: expected json or text, got \"\(accessLogFormat)\"")
            }
            proxy.accessLog.format = format
        }
    }
}
