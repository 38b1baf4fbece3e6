import NIOCore
import NIOEmbedded
import Testing

@testable import DisaggCore

@Suite("ZMTP handler")
struct ZMTPHandlerTests {
    private final class Log {
        var events: [String] = []
    }

    private func open() throws -> (EmbeddedChannel, Log) {
        let log = Log()
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(
            ZMTPHandler(local: .pull) { event in
                switch event {
                case .failed(let error): log.events.append("failed: \(error)")
                case .message(let body): log.events.append("message of \(body.count)")
                default: log.events.append("\(event)")
                }
            })
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return (channel, log)
    }

    private func written(_ channel: EmbeddedChannel) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { bytes += Array(buffer.readableBytesView) }
        return bytes
    }

    @Test("greets at once, then answers the greeting with READY")
    func greets() throws {
        let (channel, log) = try open()
        #expect(try written(channel) == ZMTP.greeting)
        try channel.writeInbound(ByteBuffer(bytes: ZMTPSamples.greeting))
        #expect(try written(channel) == ZMTP.ready(.pull))
        try channel.writeInbound(ByteBuffer(bytes: ZMTPSamples.ready + ZMTPSamples.message))
        #expect(log.events == ["established", "message of 28"])
    }

    @Test("drops a peer that has not finished its handshake after 10 s", arguments: [0, 1, 63, 64, 70])
    func handshakeDeadline(sent: Int) throws {
        let (channel, log) = try open()
        try channel.writeInbound(ByteBuffer(bytes: (ZMTPSamples.greeting + ZMTPSamples.ready)[..<sent]))
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(9999))
        #expect(channel.isActive)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
        #expect(log.events == ["failed: \(ZMTPError.handshakeTimeout)", "closed"])
    }

    @Test("keeps a peer that has, however long it is silent")
    func noDeadlineAfterHandshake() throws {
        let (channel, log) = try open()
        try channel.writeInbound(ByteBuffer(bytes: ZMTPSamples.greeting + ZMTPSamples.ready))
        channel.embeddedEventLoop.advanceTime(by: .hours(24))
        #expect(channel.isActive)
        #expect(log.events == ["established"])
    }

    @Test("says once that a connection failed, closes it and reads no more")
    func failsOnce() throws {
        let (channel, log) = try open()
        try channel.writeInbound(
            ByteBuffer(bytes: ZMTPSamples.greeting + ZMTPSamples.ready + [0xF0] + ZMTPSamples.message))
        channel.embeddedEventLoop.run()
        #expect(!channel.isActive)
        #expect(log.events == ["established", "failed: \(ZMTPError.badFlags(0xF0))", "closed"])
    }

    @Test("reports a peer that closes in the middle of a frame")
    func halfAFrame() throws {
        let (channel, log) = try open()
        try channel.writeInbound(
            ByteBuffer(bytes: ZMTPSamples.greeting + ZMTPSamples.ready + ZMTPSamples.message.dropLast()))
        channel.close(promise: nil)
        #expect(log.events == ["established", "failed: \(ZMTPError.truncated)", "closed"])
    }

    @Test("does not count a port probe as a failure")
    func portProbe() throws {
        let (channel, log) = try open()
        channel.close(promise: nil)
        #expect(log.events == ["closed"])
    }

    @Test("does not pile up answers for a peer that never reads them")
    func pingsWithoutReading() throws {
        let (channel, _) = try open()
        try channel.writeInbound(ByteBuffer(bytes: ZMTPSamples.greeting + ZMTPSamples.ready))
        _ = try written(channel)
        channel.isWritable = false
        try channel.writeInbound(ByteBuffer(bytes: ZMTPSamples.ping))
        #expect(try written(channel).isEmpty)
        channel.isWritable = true
        try channel.writeInbound(ByteBuffer(bytes: ZMTPSamples.ping))
        #expect(try written(channel).count == 9)
    }
}
