import Logging
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

@Suite("The access log")
struct AccessLogTests {
    private func record() -> RequestRecord {
        var record = RequestRecord()
        record.endedAt = 1_764_093_641_123
        record.requestID = "r-1\n\"x\""
        record.traceID = "0af7651916cd43dd8448eb211c80319c"
        record.path = "/v1/completions"
        record.status = 200
        record.reason = "disaggregated"
        record.handoff = "nixl"
        record.isStream = true
        record.prefill = "prefill-0"
        record.decode = "decode-1"
        record.retries = 1
        record.bytesIn = 812
        record.bytesOut = 5120
        record.events = 12
        record.timeline.prefillSent(at: 12_000)
        record.timeline.prefillEnded(at: 52_412_000, succeeded: true)
        record.timeline.decodeSent(at: 52_512_000)
        record.timeline.decodeAnswered(at: 60_512_000, succeeded: true)
        record.timeline.firstByte(at: 60_600_000)
        record.timeline.ended(at: 160_600_000)
        return record
    }

    private func line(_ record: RequestRecord, _ format: AccessLogFormat) -> String {
        var output: [UInt8] = []
        AccessLogLine.append(record, as: format, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    @Test("a JSON line is one object with the pair, the reason and the stages")
    func json() throws {
        let text = line(record(), .json)
        #expect(text.hasSuffix("}\n") && text.dropLast().allSatisfy { $0 != "\n" })
        let view = try JSONView(parsing: text)
        #expect(view["time"]?.string == "2025-11-25T18:00:41.123Z")
        #expect(view["request_id"]?.string == "r-1\n\"x\"")
        #expect(view["trace_id"]?.string == "0af7651916cd43dd8448eb211c80319c")
        #expect(view["status"]?.int == 200)
        #expect(view["prefill"]?.string == "prefill-0")
        #expect(view["decode"]?.string == "decode-1")
        #expect(view["reason"]?.string == "disaggregated")
        #expect(view["handoff"]?.string == "nixl")
        #expect(view["retries"]?.int == 1)
        #expect(view["bytes_in"]?.int == 812)
        #expect(view["bytes_out"]?.int == 5120)
        #expect(view["prefill_ms"]?.double == 52.4)
        #expect(view["handoff_ms"]?.double == 0.1)
        #expect(view["decode_first_byte_ms"]?.double == 8)
        #expect(view["first_byte_ms"]?.double == 60.6)
        #expect(view["per_event_ms"]?.double == 10)
        #expect(view["total_ms"]?.double == 160.6)
        #expect(view["proxy_ms"]?.double == 0.2)
        #expect(view["queue_ms"] == nil)
        #expect(view["client_left"] == nil)
    }

    @Test("a line of text cannot be forged by what a client chose")
    func text() {
        var forged = record()
        forged.path = "/v1/x y\n200"
        let text = line(forged, .text)
        #expect(text.split(separator: "\n").count == 1)
        #expect(text.hasPrefix("2025-11-25T18:00:41.123Z 200 POST /v1/x?y?200 prefill-0>decode-1 disaggregated in=812"))
        #expect(text.hasSuffix(" trace=0af7651916cd43dd8448eb211c80319c id=r-1?\"x\"\n"))
    }

    @Test(
        "times of day are Gregorian",
        arguments: [
            (Int64(0), "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ])
    func times(milliseconds: Int64, text: String) {
        #expect(UTCTime.text(milliseconds: milliseconds) == text)
    }

    @Test(
        "only a trace id of the right form is logged",
        arguments: [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", nil),
            ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", nil), ("00-x-y-01", nil), (nil, nil),
        ] as [(String?, String?)])
    func traceIDs(header: String?, id: String?) {
        #expect(TraceParent.traceID(header) == id)
    }

    @Test("a file that was moved away is written anew, without a line lost")
    func rotation() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/access.log"
        let file = try AccessLogFile(path: path, logger: Logger(label: "test"))
        file.append(Array("one\n".utf8), lines: 1)
        try await eventually { ProcFile.text(path) == "one\n" }
        #expect(rename(path, path + ".1") == 0)
        file.reopen()
        file.append(Array("two\n".utf8), lines: 1)
        await file.finish()
        #expect(ProcFile.text(path + ".1") == "one\n")
        #expect(ProcFile.text(path) == "two\n")
        #expect(file.dropped == 0)
        file.append(Array("late\n".utf8), lines: 1)
        #expect(file.dropped == 1)
    }

    @Test("a log that cannot be opened is an error that names the file")
    func unopenable() {
        #expect {
            try AccessLogFile(path: "/nonexistent/access.log", logger: Logger(label: "test"))
        } throws: { error in
            (error as? DisaggError)?.message.contains("/nonexistent/access.log") == true
        }
    }

    @Test("a log that cannot take lines fast enough drops whole lines and counts them")
    func drops() async throws {
        // A pipe that nobody reads takes 64 KiB. Then at most the limit is being written, and the limit waits in memory.
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDWR | O_CLOEXEC)
        try #require(reader >= 0)
        defer { close(reader) }
        let file = try AccessLogFile(path: path, logger: Logger(label: "test"))
        let line = Array((String(repeating: "x", count: 1023) + "\n").utf8)
        let lines = 2 * AccessLogFile.maximumPending / line.count + 200
        for _ in 0..<lines { file.append(line, lines: 1) }
        #expect(file.dropped > 0)
        // Read it empty, so that the writer's thread ends.
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let finished = Task { await file.finish() }
        _ = fcntl(reader, F_SETFL, O_NONBLOCK)
        var received = 0
        let expected = (lines - file.dropped) * line.count
        while received < expected {
            let count = read(reader, &buffer, buffer.count)
            if count > 0 { received += count } else { await Task.yield() }
        }
        await finished.value
        #expect(received == expected)
    }
}
