import NIOPosix
import Subprocess
import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A Python that has pyzmq and msgspec: the libraries LMCache sends with.
private let python = getenv("DISAGG_PYTHON").map { String(cString: $0) }

@Suite("Real ZeroMQ senders", .timeLimit(.minutes(1)))
struct RealZeroMQTests {
    /// Tests/Clients/zmq_senders.py, from this file's own path.
    private static let script =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        + "/Clients/zmq_senders.py"

    private struct Expectation {
        var delivers: [String] = []
        var malformed = 0
        var other = 0
        var broken = 0
        var done = false

        mutating func add(_ line: String) throws {
            let view = try JSONView(parsing: line)
            delivers += view["delivers"]?.elements.compactMap(\.string) ?? []
            malformed += view["malformed"]?.int ?? 0
            other += view["other"]?.int ?? 0
            broken += view["broken"]?.int ?? 0
            done = done || view["scenario"]?.string == "done"
        }
    }

    @Test(
        "pyzmq and msgspec: early, one, duplicate, unknown, malformed, heartbeats, broken, a thousand at once",
        .enabled(if: python != nil, "set DISAGG_PYTHON to a Python with pyzmq and msgspec"))
    func realSenders() async throws {
        let probe = NotificationInbox(host: "localhost")
        let port = try await probe.listener.start()
        let ipv6 = (try? await RawPeer(port: port, host: "::1")) != nil
        await probe.listener.shutdown()

        var inbox = NotificationInbox(host: "localhost", port: port)
        let listener = inbox.listener
        let result = try await run(
            .name("env"),
            arguments: Arguments([try #require(python), Self.script, "--port", "\(port)"] + (ipv6 ? ["--ipv6"] : [])),
            input: .none, output: .sequence, error: .string(limit: 1 << 16)
        ) { execution in
            var expected = Expectation()
            for try await line in execution.standardOutput.strings() where !line.isEmpty {
                // The first line says that messages wait for a listener: only now there is one.
                if expected.delivers.isEmpty { _ = try await listener.start() }
                print("zmq_senders.py: \(line.prefix(160))")
                try expected.add(line)
            }
            return expected
        }
        let expected = result.closureResult
        #expect(result.terminationStatus == .exited(0), "\(result.standardError)")
        try #require(expected.done)

        let received = await inbox.next(expected.delivers.count)
        await listener.shutdown()
        #expect(received.map(\.requestID).sorted() == expected.delivers.sorted())
        #expect(listener.counters.notifications == expected.delivers.count)
        #expect(listener.counters.malformedMessages == expected.malformed)
        #expect(listener.counters.otherMessages == expected.other)
        #expect(listener.counters.protocolErrors == expected.broken)
        // The duplicate came on one connection, and every socket's messages in its own order.
        #expect(Set(received.filter { $0.requestID == "req-2" }.map(\.connection)).count == 1)
        for messages in Dictionary(grouping: received, by: \.connection).values {
            let ids = messages.map(\.requestID)
            let order = expected.delivers.filter { ids.contains($0) }
            #expect(ids == order)
        }
        #expect(expected.delivers.count >= 1000)
    }
}
