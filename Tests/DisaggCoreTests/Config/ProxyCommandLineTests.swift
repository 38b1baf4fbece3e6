import Testing

@testable import DisaggCore

/// The flags of LMCache's example proxy keep their meaning.
@Suite("Proxy command line")
struct ProxyCommandLineTests {
    private func deployment(_ change: (inout ProxyCommandLine) -> Void) throws -> Deployment {
        var line = ProxyCommandLine()
        change(&line)
        var deployment = Deployment()
        try line.apply(to: &deployment)
        return deployment
    }

    @Test("one host and port with a count names that many engines on ports in a row")
    func countsUp() throws {
        let deployment = try deployment {
            $0.prefillers = 2
            $0.prefillerPorts = [7100]
            $0.decoders = 2
            $0.decoderPorts = [7200]
            $0.decoderInitPorts = [7300]
            $0.decoderAllocPorts = [7400]
        }
        #expect(deployment.backends(.prefill).map(\.port) == [7100, 7101])
        let decode = deployment.backends(.decode)
        #expect(decode.map(\.port) == [7200, 7201])
        #expect(decode.map(\.receiver?.initPorts) == [[7300], [7301]])
        #expect(decode.map(\.receiver?.allocPorts) == [[7400], [7401]])
        #expect(deployment.expectedNotifications == 1)
    }

    @Test("a list of receiver ports names ranks of one decoder, and as many notifications are awaited")
    func ranks() throws {
        let deployment = try deployment {
            $0.decoderInitPorts = [7300, 7301]
            $0.decoderAllocPorts = [7400, 7401]
        }
        #expect(deployment.backends(.decode).count == 1)
        #expect(deployment.backends(.decode)[0].receiver?.initPorts == [7300, 7301])
        #expect(deployment.expectedNotifications == 2)
    }

    @Test("lists of hosts name engines on hosts of their own, which may use the same receiver ports")
    func hostLists() throws {
        let deployment = try deployment {
            $0.decoderHosts = ["10.0.0.1", "10.0.0.2"]
            $0.decoderPorts = [7200]
            $0.decoders = 2
        }
        #expect(deployment.backends(.decode).map(\.authority) == ["10.0.0.1:7200", "10.0.0.2:7200"])
        #expect(deployment.backends(.decode).map(\.receiver?.initPorts) == [[8300], [8300]])
    }

    @Test("contradictions are refused with one message that names the flag")
    func contradictions() {
        let broken: [(String, (inout ProxyCommandLine) -> Void)] = [
            ("--num-prefillers must be 1 or more", { $0.prefillers = 0 }),
            ("beyond 65535", { ($0.prefillers, $0.prefillerPorts) = (100, [65_530]) }),
            ("--decoder-port: expected 1...65535", { $0.decoderPorts = [0] }),
            ("give as many of both", { ($0.decoderHosts, $0.decoderPorts) = (["a", "b", "c"], [1, 2]) }),
            ("leave it out or make them agree", { ($0.decoderHosts, $0.decoders) = (["a", "b"], 3) }),
            ("same number of ports", { $0.decoderInitPorts = [1, 2] }),
            (
                "is used by decode-0 and decode-1",
                {
                    $0.decoders = 2
                    $0.decoderInitPorts = [7300, 7301]
                    $0.decoderAllocPorts = [7400, 7401]
                }
            ),
        ]
        for (message, change) in broken {
            let error = #expect(throws: DisaggError.self) { try deployment(change) }
            #expect(error?.message.contains(message) == true, "\(error?.message ?? "no error") has no \"\(message)\"")
        }
    }

    @Test(
        "addresses are read in every usual form",
        arguments: [
            ("http://10.0.0.1:8100", "10.0.0.1", 8100), ("localhost:1/", "localhost", 1), ("http://[::1]:9", "::1", 9),
        ])
    func addresses(text: String, host: String, port: Int) throws {
        let endpoint = try Endpoint(parsing: text, flag: "--prefill")
        #expect(endpoint == Endpoint(host: host, port: port))
    }

    @Test(
        "other addresses are refused",
        arguments: [
            "", "http://", "host", ":80", "http://host", "host:99999", "https://host:1", "http://host:1/path", "a:b",
        ])
    func badAddresses(text: String) {
        let error = #expect(throws: DisaggError.self) { _ = try Endpoint(parsing: text, flag: "--prefill") }
        #expect(error?.message.hasPrefix("--prefill:") == true)
    }
}
