import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import DisaggCore

@Suite("Notification listener", .timeLimit(.minutes(1)))
struct NotificationListenerTests {
    private let opening = ZMTPSamples.greeting + ZMTPSamples.ready

    private func message(_ id: String) -> [UInt8] { ZMTP.message(ProxyNotif(requestID: id).encoded) }

    @Test("delivers what a sender pushes, in order")
    func endToEnd() async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let sender = NotificationSender(host: "127.0.0.1", port: port, group: MultiThreadedEventLoopGroup.singleton)
        let ids = (0..<100).map { "req-\($0)" }
        for id in ids { sender.send(requestID: id) }
        let received = await inbox.next(100)
        #expect(received.map(\.requestID) == ids)
        #expect(Set(received.map(\.connection)) == [1])
        #expect(sender.dropped == 0)
        await sender.shutdown()
        await inbox.listener.shutdown()
        // The last one is counted once it was told of.
        #expect(inbox.listener.counters.notifications == 100)
    }

    @Test("a duplicate has its connection's number, another rank has another")
    func connectionsAreTold() async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let ranks = (0..<2).map { _ in
            NotificationSender(host: "127.0.0.1", port: port, group: MultiThreadedEventLoopGroup.singleton)
        }
        ranks[0].send(requestID: "a")
        ranks[0].send(requestID: "a")
        ranks[1].send(requestID: "a")
        let received = await inbox.next(3)
        #expect(received.allSatisfy { $0.requestID == "a" })
        #expect(Dictionary(grouping: received, by: \.connection).values.map(\.count).sorted() == [1, 2])
        for rank in ranks { await rank.shutdown() }
        await inbox.listener.shutdown()
    }

    @Test("a thousand at once from eight senders all arrive, each sender's in order")
    func thousandAtOnce() async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let senders = (0..<8).map { _ in
            NotificationSender(host: "localhost", port: port, group: MultiThreadedEventLoopGroup.singleton)
        }
        for index in 0..<125 {
            for (number, sender) in senders.enumerated() { sender.send(requestID: "\(number)-\(index)") }
        }
        let received = await inbox.next(1000)
        #expect(Set(received.map(\.requestID)).count == 1000)
        for notifications in Dictionary(grouping: received, by: \.connection).values {
            let indices = notifications.compactMap { $0.requestID.split(separator: "-").last.flatMap { Int($0) } }
            #expect(indices == Array(0..<125))
        }
        for sender in senders { await sender.shutdown() }
        await inbox.listener.shutdown()
    }

    @Test("malformed, unknown and multipart messages are counted and the connection goes on")
    func keepsTheConnection() async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let peer = try await RawPeer(port: port)
        let other: [UInt8] = [0x81, 0xA4] + Array("type".utf8) + [0xA1, 0x78]
        try await peer.send(
            opening + ZMTP.message([]) + ZMTP.message([0xC1]) + ZMTP.message(other)
                + ZMTP.message(ZMTPSamples.abc, more: true) + message("part") + message("good"))
        #expect(await inbox.next().map(\.requestID) == ["good"])
        #expect(inbox.listener.counters.malformedMessages == 3)
        #expect(inbox.listener.counters.otherMessages == 1)
        #expect(inbox.listener.counters.protocolErrors == 0)
        try await peer.close()
        await inbox.listener.shutdown()
    }

    @Test(
        "a peer that breaks ZMTP is counted and closed, others are not harmed",
        arguments: [
            Array("GET / HTTP/1.1\r\n\r\n".utf8), Array(repeating: 0, count: 64),
            ZMTPSamples.greeting + ZMTPSamples.message, ZMTPSamples.greeting + ZMTP.ready(.pull),
            ZMTPSamples.greeting + ZMTPSamples.ready + [2, 0, 0, 0, 0, 0, 1, 0, 1],
            ZMTPSamples.greeting + ZMTPSamples.ready + [0xFF],
        ])
    func closesBrokenPeers(bytes: [UInt8]) async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let good = try await RawPeer(port: port)
        try await good.send(opening)
        let bad = try await RawPeer(port: port)
        try await bad.send(bytes)
        try await bad.waitForClose()
        try await good.send(message("still here"))
        #expect(await inbox.next().map(\.requestID) == ["still here"])
        #expect(inbox.listener.counters.protocolErrors == 1)
        #expect(inbox.listener.counters.acceptedConnections == 2)
        try await good.close()
        await inbox.listener.shutdown()
    }

    @Test("half a frame and then the end is counted; the end between messages is not")
    func halfAFrame() async throws {
        let inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        for bytes in [opening + message("abc").dropLast(3), opening + [], []] {
            let peer = try await RawPeer(port: port)
            try await peer.waitForGreeting()
            try await peer.send(bytes)
            try await peer.finish()
        }
        await inbox.listener.shutdown()
        #expect(inbox.listener.counters.protocolErrors == 1)
        #expect(inbox.listener.counters.malformedMessages == 0)
        #expect(inbox.listener.counters.notifications == 0)
    }

    @Test("a message cut anywhere between two packets arrives once")
    func splitOverPackets() async throws {
        var inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let bytes = opening + message("split")
        let peers = try await withThrowingTaskGroup(of: RawPeer.self) { group in
            for offset in stride(from: 1, to: bytes.count, by: 7) {
                group.addTask {
                    let peer = try await RawPeer(port: port)
                    try await peer.send(bytes[..<offset])
                    try await peer.waitForGreeting()
                    try await peer.send(bytes[offset...])
                    return peer
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(await inbox.next(peers.count)).count == peers.count)
        for peer in peers { try await peer.close() }
        await inbox.listener.shutdown()
    }

    @Test("connections over the limit are closed at once, and a place that becomes free is given again")
    func connectionLimit() async throws {
        var inbox = NotificationInbox(maximumConnections: 1)
        let port = try await inbox.listener.start()
        let first = try await RawPeer(port: port)
        try await first.waitForGreeting()
        let second = try await RawPeer(port: port)
        try await second.waitForClose()
        #expect(inbox.listener.counters.refusedConnections == 1)
        try await first.finish()
        let sender = NotificationSender(host: "127.0.0.1", port: port, group: MultiThreadedEventLoopGroup.singleton)
        sender.send(requestID: "third")
        #expect(await inbox.next().map(\.requestID) == ["third"])
        await sender.shutdown()
        await inbox.listener.shutdown()
    }

    @Test("shutdown closes the port and every connection, and may be repeated")
    func shutdown() async throws {
        let inbox = NotificationInbox()
        let port = try await inbox.listener.start()
        let peer = try await RawPeer(port: port)
        try await peer.waitForGreeting()
        await inbox.listener.shutdown()
        try await peer.waitForClose()
        await #expect(throws: (any Error).self) { _ = try await RawPeer(port: port) }
        await inbox.listener.shutdown()
        await #expect(throws: NotifyError.shutDown) { try await inbox.listener.start() }
    }
}

@Suite("Notification listener's addresses", .timeLimit(.minutes(1)))
struct NotificationAddressTests {
    private func reaches(_ host: String, _ port: Int) async -> Bool {
        guard let peer = try? await RawPeer(port: port, host: host) else { return false }
        let greeted = (try? await peer.waitForGreeting()) != nil
        try? await peer.close()
        return greeted
    }

    /// Whether this machine has ::1.
    private func hasIPv6() async -> Bool {
        let inbox = NotificationInbox(host: "::1")
        let started = (try? await inbox.listener.start()) != nil
        await inbox.listener.shutdown()
        return started
    }

    @Test("localhost is 127.0.0.1 always, and ::1 with the same port where it exists", arguments: ["localhost", "*"])
    func localhost(host: String) async throws {
        let inbox = NotificationInbox(host: host)
        let port = try await inbox.listener.start()
        #expect(await reaches("127.0.0.1", port))
        #expect(await reaches("::1", port) == hasIPv6())
        await inbox.listener.shutdown()
    }

    @Test("addresses mean themselves", arguments: ["127.0.0.1", "0.0.0.0", "127.0.0.2"])
    func literals(host: String) async throws {
        let inbox = NotificationInbox(host: host)
        let port = try await inbox.listener.start()
        #expect(await reaches(host == "0.0.0.0" ? "127.0.0.3" : host, port))
        #expect(await reaches("::1", port) == false)
        await inbox.listener.shutdown()
    }

    @Test("a taken port is one clear error that names it", arguments: ["127.0.0.1", "localhost", "*"])
    func takenPort(host: String) async throws {
        let first = NotificationInbox(host: "127.0.0.1")
        let port = try await first.listener.start()
        let second = NotificationInbox(host: host, port: port)
        let error = await #expect(throws: NotifyError.self) { try await second.listener.start() }
        #expect("\(try #require(error))".contains(":\(port) is taken"))
        await first.listener.shutdown()
        // What failed left nothing behind: it starts as soon as the port is free.
        #expect(try await second.listener.start() == port)
        await second.listener.shutdown()
    }

    @Test("an unknown host, a foreign address and a second start are errors of their own")
    func otherErrors() async throws {
        let unknown = NotificationInbox(host: "no-such-host.invalid")
        let error = await #expect(throws: NotifyError.self) { try await unknown.listener.start() }
        #expect("\(try #require(error))".contains("no-such-host.invalid"))
        // TEST-NET-1 belongs to nobody (RFC 5737).
        let foreign = NotificationInbox(host: "192.0.2.1", port: 7500)
        await #expect(throws: NotifyError.foreignAddress(Endpoint(host: "192.0.2.1", port: 7500))) {
            try await foreign.listener.start()
        }
        let twice = NotificationInbox()
        _ = try await twice.listener.start()
        await #expect(throws: NotifyError.alreadyStarted) { try await twice.listener.start() }
        await twice.listener.shutdown()
        let embedded = NotificationInbox(group: EmbeddedEventLoop())
        await #expect(throws: NotifyError.incompatibleGroup) { try await embedded.listener.start() }
    }
}
