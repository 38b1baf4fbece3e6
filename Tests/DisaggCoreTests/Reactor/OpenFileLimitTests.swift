import Testing

@testable import DisaggCore

@Suite("Open file limit")
struct OpenFileLimitTests {
    @Test("the table of descriptors is as long as it may get before the first connection")
    func table() throws {
        let limit = OpenFileLimit.raise()
        let status = try #require(ProcFile.text("/proc/self/status"))
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("FDSize:") })
        let size = try #require(Int(line.split(separator: "\t")[1]))
        #expect(size >= min(limit, 65_536))
    }

    @Test("half of the free descriptors are left to the engines' connections")
    func clients() {
        let limit = OpenFileLimit.raise()
        #expect(OpenFileLimit.clients <= (limit - 64) / 2)
        #expect(OpenFileLimit.clients > (limit - 2_000) / 2)
    }
}
