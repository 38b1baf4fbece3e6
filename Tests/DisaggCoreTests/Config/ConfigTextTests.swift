import Testing

@testable import DisaggCore

@Suite("Durations, sizes and addresses")
struct ConfigTextTests {
    @Test(
        "durations are read with their unit",
        arguments: [
            ("30s", Duration.seconds(30)), ("500ms", .milliseconds(500)), ("1.5h", .seconds(5400)),
            ("2m", .seconds(120)),
            ("0s", .zero), ("0.25s", .milliseconds(250)), ("7us", .microseconds(7)),
        ])
    func durations(text: String, expected: Duration) {
        #expect(ConfigText.duration(text) == expected)
        #expect(ConfigText.duration(ConfigText.text(expected)) == expected)
    }

    @Test(
        "what is no duration is refused",
        arguments: [
            "", "30", "s", "-3s", "3 s", "1e3s", ".5s", "1.s", "1.2.3s", "99999999999999h", "0.0000000001s", "٣s",
        ])
    func badDurations(text: String) {
        #expect(ConfigText.duration(text) == nil)
    }

    @Test(
        "sizes are read with binary and decimal units",
        arguments: [
            ("2GiB", 2 << 30), ("1.5MiB", 3 << 19), ("64 KiB", 65536), ("10MB", 10_000_000), ("7", 7), ("12B", 12),
        ])
    func sizes(text: String, expected: Int) {
        #expect(ConfigText.bytes(text) == expected)
        #expect(ConfigText.bytes(ConfigText.text(bytes: expected)) == expected)
    }

    @Test("what is no size is refused", arguments: ["", "GiB", "-1", "1.5", "1.3B", "2gb", "9999999999TiB", "1e9"])
    func badSizes(text: String) {
        #expect(ConfigText.bytes(text) == nil)
    }

    @Test(
        "addresses are read",
        arguments: [
            ("0.0.0.0:9000", Endpoint(host: "0.0.0.0", port: 9000)), ("[::1]:80", Endpoint(host: "::1", port: 80)),
            ("http://gpu-1:8100/", Endpoint(host: "gpu-1", port: 8100)),
            ("localhost:0", Endpoint(host: "localhost", port: 0)),
        ])
    func addresses(text: String, expected: Endpoint) {
        #expect(ConfigText.endpoint(text) == expected)
        #expect(ConfigText.endpoint(expected.description) == expected)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", ":9000", "host", "host:", "host:65536", "host:-1", "::1:80", "[x]:80", "a b:80", "https://x:1",
            "x/y:80",
            "host:080",
        ])
    func badAddresses(text: String) {
        #expect(ConfigText.endpoint(text) == nil)
    }

    @Test(
        "the nearest known word is found, and none where nothing is near",
        arguments: [
            ("tensorparallel", "tensorParallel"), ("tensor-parallel", "tensorParallel"), ("prot", "port"),
            ("replica", "replicas"), ("zzzz", nil), ("", nil),
        ] as [(String, String?)])
    func nearest(word: String, expected: String?) {
        #expect(EditDistance.nearest(to: word, among: ["port", "replicas", "tensorParallel", "host"]) == expected)
    }
}
