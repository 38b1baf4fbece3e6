internal import NIOCore

/// Following a stream of tokens: the framing of a relayed one, the events of a merged one.
extension CountedCase {
    static var streams: [CountedCase] {
        [
            CountedCase("chunk.token", operations: 2000) { chunks(ByteBuffer(bytes: try tokenChunk())) },
            CountedCase("chunk.read-16KB", operations: 100) { chunks(ByteBuffer(bytes: try repeated(tokenChunk()))) },
            CountedCase("sse.token", operations: 100) { events(try CountedInput.eventBytes()) },
            CountedCase("sse.read-16KB", operations: 5) { events(try repeated(CountedInput.eventBytes())) },
        ]
    }

    /// A token's event as vLLM frames it.
    private static func tokenChunk() throws -> [UInt8] {
        let event = try CountedInput.eventBytes()
        return Array("\(String(event.count, radix: 16))\r\n".utf8) + event + [0x0D, 0x0A]
    }

    /// As many whole pieces as a read of 16 KB holds.
    private static func repeated(_ piece: [UInt8]) -> [UInt8] {
        Array(repeatElement(piece, count: 16_384 / piece.count).joined())
    }

    private static func chunks(_ bytes: ByteBuffer) -> () -> Void {
        let scanner = Held(ChunkScanner())
        return {
            keep(bytes.withUnsafeReadableBytes { scanner.value.scan($0) { _ in } })
            keep(scanner.value.eventBoundary)
        }
    }

    private static func events(_ stream: [UInt8]) -> () -> Void {
        let scanner = Held(SSEScanner())
        let bytes = ByteBuffer(bytes: stream)
        return { keep(bytes.withUnsafeReadableBytes { scanner.value.feed($0) { keep($0) } }) }
    }
}
