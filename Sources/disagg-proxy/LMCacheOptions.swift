internal import ArgumentParser
internal import DisaggCore

#if canImport(Glibc)
internal import Glibc
#endif

/// The flags of LMCache's example proxy, with their meaning.
struct LMCacheOptions: ParsableArguments {
    @Option(help: "Hosts of the prefill engines, comma-separated.")
    var prefillerHost: String?

    @Option(help: "HTTP ports of the prefill engines, comma-separated; one port with --num-prefillers N counts up.")
    var prefillerPort: String?

    @Option(help: "Number of prefill engines.")
    var numPrefillers: Int?

    @Option(help: "Hosts of the decode engines, comma-separated.")
    var decoderHost: String?

    @Option(help: "HTTP ports of the decode engines, comma-separated; one port with --num-decoders N counts up.")
    var decoderPort: String?

    @Option(help: "Number of decode engines.")
    var numDecoders: Int?

    @Option(help: "pd_peer_init_port of a decoder, one a rank, comma-separated.")
    var decoderInitPort: String?

    @Option(help: "pd_peer_alloc_port of a decoder, one a rank, comma-separated.")
    var decoderAllocPort: String?

    @Option(help: "Address to take notifications on (pd_proxy_host).")
    var proxyHost: String?

    @Option(help: "Port to take notifications on (pd_proxy_port).")
    var proxyPort: Int?

    @Option(help: ArgumentHelp("Accepted for compatibility; the engines know their model.", visibility: .hidden))
    var model: String?

    @Option(help: ArgumentHelp("Accepted for compatibility.", visibility: .hidden))
    var pdBufferSize: String?

    @Option(help: ArgumentHelp("Accepted for compatibility.", visibility: .hidden))
    var chunkSize: Int?

    /// The flags as a command line; nil where none names an engine.
    func commandLine() throws -> ProxyCommandLine? {
        let named: [String?] = [
            prefillerHost, prefillerPort, decoderHost, decoderPort, decoderInitPort, decoderAllocPort,
        ]
        guard named.contains(where: { $0 != nil }) || numPrefillers != nil || numDecoders != nil else { return nil }
        var line = ProxyCommandLine()
        if let prefillerHost { line.prefillerHosts = Self.list(prefillerHost) }
        if let prefillerPort {
            line.prefillerPorts = try ProxyCommandLine.ports(prefillerPort, flag: "--prefiller-port")
        }
        if let numPrefillers { line.prefillers = numPrefillers }
        if let decoderHost { line.decoderHosts = Self.list(decoderHost) }
        if let decoderPort { line.decoderPorts = try ProxyCommandLine.ports(decoderPort, flag: "--decoder-port") }
        if let numDecoders { line.decoders = numDecoders }
        if let decoderInitPort {
            line.decoderInitPorts = try ProxyCommandLine.ports(decoderInitPort, flag: "--decoder-init-port")
        }
        if let decoderAllocPort {
            line.decoderAllocPorts = try ProxyCommandLine.ports(decoderAllocPort, flag: "--decoder-alloc-port")
        }
        return line
    }

    private static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.filter { $0 != " " }) }
    }
}

/// Lines for people on standard error, whole and in order.
enum StandardError {
    static func print(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        bytes.withUnsafeBytes { buffer in _ = write(STDERR_FILENO, buffer.baseAddress, buffer.count) }
    }
}
