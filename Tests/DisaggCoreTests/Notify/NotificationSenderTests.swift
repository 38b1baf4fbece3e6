import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Notification sender", .timeLimit(.minutes(1)))
struct NotificationSenderTests {
    private func freePort() async throws -> Int {
        let inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        await inbox.listener.shutdown()
        return port
    }

    private func sender(_ port: Int) -> NotificationSender {
        NotificationSender(host: "127.0.0.1", port: port, group: MultiThreadedEventLoopGroup.singleton)
    }

    @Test("keeps what was sent before the listener exists, and sends it in order when it does")
    func beforeTheListener() async throws {
        let port = try await freePort()
        let sender = sender(port)
        for index in 0..<10 { sender.send(requestID: "\(index)") }
        var inbox = NotificationInbox(port: port)
        _ = try await inbox.listener.start()
        #expect(await inbox.next(10).map(\.requestID) == (0..<10).map { "\($0)" })
        await sender.shutdown()
        await inbox.listener.shutdown()
    }

    @Test("connects again when the listener was restarted")
    func reconnects() async throws {
        var first = NotificationInbox()
        let port = try await first.listener.start()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let sender = NotificationSender(host: "127.0.0.1", port: port, group: loop)
        sender.send(requestID: "a")
        #expect(await first.next().map(\.requestID) == ["a"])
        await first.listener.shutdown()
        var second = NotificationInbox(port: port)
        _ = try await second.listener.start()
        // The first may go into the broken connection, as with ZeroMQ, where the kernel took it; a later one arrives.
        var received: [Notification] = []
        let retry = Task {
            var index = 0
            while !Task.isCancelled {
                sender.send(requestID: "b\(index)")
                index += 1
                // One turn of the sender's loop, in which it may notice the broken connection.
                try? await loop.submit {}.get()
            }
        }
        received = await second.next()
        retry.cancel()
        #expect(received.first?.requestID.hasPrefix("b") == true)
        await sender.shutdown()
        await second.listener.shutdown()
    }

    @Test("drops the newest beyond a thousand that wait, and counts them")
    func bounded() async throws {
        let port = try await freePort()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let sender = NotificationSender(host: "127.0.0.1", port: port, group: loop)
        for index in 0..<1003 { sender.send(requestID: "\(index)") }
        // Runs after all sends: they are tasks of the same loop.
        try await loop.submit {}.get()
        #expect(sender.dropped == 3)
        var inbox = NotificationInbox(port: port)
        _ = try await inbox.listener.start()
        #expect(await inbox.next(1000).last?.requestID == "999")
        await sender.shutdown()
        await inbox.listener.shutdown()
    }

    @Test("shutdown first sends what waits")
    func lingers() async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let sender = sender(port)
        for index in 0..<500 { sender.send(requestID: "\(index)") }
        await sender.shutdown()
        #expect(await inbox.next(500).last?.requestID == "499")
        sender.send(requestID: "too late")
        await sender.shutdown()
        #expect(sender.dropped == 1)
        await inbox.listener.shutdown()
    }

    @Test("shutdown ends without a listener too")
    func lingersNotForEver() async throws {
        let sender = sender(try await freePort())
        sender.send(requestID: "a")
        await sender.shutdown()
        let unused = self.sender(1)
        await unused.shutdown()
    }
}
