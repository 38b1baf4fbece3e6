import NIOCore

/// The simulator's own engine-to-engine wire: one JSON object a line over TCP.
///
/// It stands for what LMCache and NIXL say to each other beside HTTP; no proxy ever sees it.
final class PeerLineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// Longest line. An alloc message of a 1M-token prompt has 4,096 keys of 20 bytes.
    private static let maximumLineBytes = 1 << 20

    private let onLine: (JSONView, any Channel) -> Void
    private let onClose: () -> Void
    private var pending: [UInt8] = []

    init(onLine: @escaping (JSONView, any Channel) -> Void, onClose: @escaping () -> Void) {
        self.onLine = onLine
        self.onClose = onClose
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        pending.append(contentsOf: unwrapInboundIn(data).readableBytesView)
        while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(pending[..<end])
            pending.removeFirst(end + 1)
            guard let view = try? JSONView(parsing: line) else { return context.close(promise: nil) }
            onLine(view, context.channel)
        }
        if pending.count > Self.maximumLineBytes { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        onClose()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Writes one line.
    static func send(_ json: String, to channel: any Channel) {
        channel.writeAndFlush(ByteBuffer(string: json + "\n"), promise: nil)
    }
}
