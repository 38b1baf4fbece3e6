internal import CLinuxSockets
internal import DequeModule
package import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// A connected stream socket: reads when its owner wants, writes at once, keeps what the kernel does not take.
///
/// Reads come one at a time into the reactor's buffer and are only valid during ``received(_:)``. No callback is made
/// from within a write, except ``writabilityChanged(_:)``: a broken connection is reported after the present event.
package class StreamSocket: ReactorSource {
    /// Unsent bytes beyond which the owner is told to stop, and below which it is told to go on.
    private static let highWater = 64 << 10
    private static let lowWater = 16 << 10
    /// Buffers given to the kernel in one call.
    private static let maximumVectors = 16

    private final var output = Deque<ByteBuffer>()
    /// Bytes written that the kernel has not taken yet.
    package final private(set) var unsentBytes = 0
    /// Whether the owner may go on writing.
    package final private(set) var isWritable = true
    private final var interest: ReadyEvents
    private final var readsAreHeld = false
    private final var isSuspended = false
    private final var outputEnds = false
    private final var outputIsShut = false
    private final var isBroken = false
    /// The reactor has bytes to send before any others.
    private final var hasPostponed = false
    /// Whether a hang-up ends the connection while reads are held; otherwise what came before it is read first.
    private final let endsAtHangUp: Bool

    init(reactor: Reactor, descriptor: CInt, endsAtHangUp: Bool) {
        self.endsAtHangUp = endsAtHangUp
        interest = .readable
        super.init(reactor: reactor, descriptor: descriptor)
    }

    /// Begins to watch the descriptor; false where the system cannot.
    final func start() -> Bool { reactor.add(self, events: interest) }

    /// Takes over the descriptor of a source that is watched already.
    final func adopt(_ source: ReactorSource) {
        descriptor = source.descriptor
        source.descriptor = -1
        reactor.replace(source, by: self, events: interest)
    }

    // MARK: What the owner is told

    /// Bytes came; they are gone after the call.
    func received(_ bytes: UnsafeRawBufferPointer) {}
    /// The peer ended its side and everything it sent was read.
    func inputEnded() {}
    /// The peer ended its side while reads are held: perhaps it left.
    func peerFinished() {}
    /// The connection broke; the owner closes it.
    func failed(_ code: CInt) {}
    /// More may be written now, or should not be for now.
    func writabilityChanged(_ isWritable: Bool) {}
    /// Everything was sent and our side was ended.
    func outputFinished() {}

    /// Whether the connection is open.
    package final var isOpen: Bool { descriptor >= 0 }

    // MARK: Reading

    /// Reads no more until ``releaseReads()``. Costs nothing where nothing comes meanwhile.
    package final func holdReads() { readsAreHeld = true }

    /// Reads again.
    package final func releaseReads() {
        guard readsAreHeld else { return }
        readsAreHeld = false
        guard isOpen else { return }
        if isSuspended {
            isSuspended = false
            interest = interest.subtracting(.peerFinished).union(.readable)
            reactor.unsuspend(self, events: interest)
        } else if !interest.contains(.readable) {
            watch(interest.subtracting(.peerFinished).union(.readable))
        }
    }

    private final func watch(_ events: ReadyEvents) {
        guard events != interest else { return }
        interest = events
        if !isSuspended, slot >= 0 { reactor.modify(self, events: events) }
    }

    override final func ready(_ events: ReadyEvents) {
        if events == .readable, !readsAreHeld { return readOnce() }
        if events.contains(.writable) { flush() }
        guard isOpen else { return }
        let ended = !events.isDisjoint(with: [.error, .hangUp])
        if !readsAreHeld {
            // The read tells what a hang-up or an error means.
            if ended || !events.isDisjoint(with: [.readable, .peerFinished]) { readOnce() }
        } else if ended {
            if endsAtHangUp {
                failed(pendingError())
            } else {
                isSuspended = true
                reactor.suspend(self)
            }
        } else if events.contains(.peerFinished) {
            watch(interest.subtracting([.readable, .peerFinished]))
            peerFinished()
        } else if events.contains(.readable) {
            watch(interest.subtracting(.readable).union(.peerFinished))
        }
    }

    @inline(__always)
    private final func readOnce() {
        let buffer = reactor.readRoom
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 {
            received(UnsafeRawBufferPointer(rebasing: buffer[0..<count]))
        } else if count == 0 {
            // Level-triggered: an end that stays is not reported for ever.
            watch(interest.subtracting([.readable, .peerFinished]))
            inputEnded()
        } else if errno != EAGAIN, errno != EINTR {
            failed(errno)
        }
    }

    private final func pendingError() -> CInt {
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        _ = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code == 0 ? ECONNRESET : code
    }

    // MARK: Writing

    /// Keeps bytes for the next ``flush()`` or ``send(_:)``.
    package final func enqueue(_ bytes: ByteBuffer) {
        if hasPostponed { reactor.sendPostponed() }
        guard bytes.readableBytes > 0, isOpen, !isBroken, !outputEnds else { return }
        if unsentBytes == 0 { swap(&output, &reactor.spareQueue) }
        output.append(bytes)
        unsentBytes += bytes.readableBytes
    }

    /// Sends bytes, after what was enqueued; copies only what the kernel does not take.
    @inline(__always)
    package final func send(_ bytes: UnsafeRawBufferPointer) {
        guard isOpen, !isBroken, !outputEnds else { return }
        if reactor.postpone(bytes, to: self) {
            hasPostponed = true
        } else {
            if hasPostponed { reactor.sendPostponed() }
            sendNow(bytes)
        }
    }

    /// The reactor's turn to send what ``send(_:)`` left to it.
    final func sendPostponed(_ bytes: UnsafeRawBufferPointer) {
        hasPostponed = false
        guard isOpen, !isBroken else { return }
        sendNow(bytes)
    }

    @inline(__always)
    private final func sendNow(_ bytes: UnsafeRawBufferPointer) {
        guard unsentBytes == 0 else {
            enqueue(ByteBuffer(bytes: bytes))
            // What waits for the kernel already is sent when it is ready.
            return interest.contains(.writable) ? checkHighWater() : flush()
        }
        let count = SystemCall.send(descriptor, bytes)
        if count == bytes.count { return }
        if count < 0, errno != EAGAIN, errno != EINTR { return broke(errno) }
        enqueue(ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[max(0, count)...])))
        watch(interest.union(.writable))
        checkHighWater()
    }

    /// Sends what was enqueued.
    package final func flush() {
        if hasPostponed { reactor.sendPostponed() }
        guard isOpen, !isBroken else { return }
        while unsentBytes > 0 {
            let count = sendOutput()
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { return broke(errno) }
                watch(interest.union(.writable))
                return checkHighWater()
            }
            dropOutput(count)
        }
        guard isOpen else { return }
        if interest.contains(.writable) { watch(interest.subtracting(.writable)) }
        if outputEnds, !outputIsShut {
            outputIsShut = true
            _ = shutdown(descriptor, CInt(SHUT_WR))
            outputFinished()
        }
        if !isWritable {
            isWritable = true
            writabilityChanged(true)
        }
    }

    private final func sendOutput() -> Int {
        if output.count == 1 {
            return output[0].withUnsafeReadableBytes {
                SystemCall.send(descriptor, $0)
            }
        }
        let count = min(output.count, Self.maximumVectors)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { vectors in
            for index in 0..<count {
                // The pointers stay valid: the buffers are in the queue, and nothing changes them meanwhile.
                output[index].withUnsafeReadableBytes {
                    vectors[index] = iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
                }
            }
            var message = msghdr()
            message.msg_iov = vectors.baseAddress
            message.msg_iovlen = count
            return sendmsg(descriptor, &message, CInt(MSG_NOSIGNAL))
        }
    }

    private final func dropOutput(_ sent: Int) {
        unsentBytes -= sent
        var left = sent
        while left > 0, let first = output.first {
            if first.readableBytes <= left {
                left -= first.readableBytes
                output.removeFirst()
            } else {
                output[0].moveReaderIndex(forwardBy: left)
                left = 0
            }
        }
        if output.isEmpty { giveQueueBack() }
        if !isWritable, unsentBytes <= Self.lowWater {
            isWritable = true
            writabilityChanged(true)
        }
    }

    /// An open connection that writes nothing holds no memory for it: the loop keeps one queue for whoever writes next.
    private final func giveQueueBack() {
        swap(&output, &reactor.spareQueue)
        output = []
    }

    private final func checkHighWater() {
        guard isWritable, unsentBytes > Self.highWater else { return }
        isWritable = false
        writabilityChanged(false)
    }

    private final func broke(_ code: CInt) {
        isBroken = true
        output = []
        unsentBytes = 0
        reactor.defer { [self] in
            if isOpen { failed(code) }
        }
    }

    /// Ends our side after everything written was sent; see ``outputFinished()``.
    package final func finishOutput() {
        guard isOpen, !outputEnds else { return }
        outputEnds = true
        flush()
    }

    override package func close() {
        if hasPostponed { reactor.sendPostponed() }
        output = []
        unsentBytes = 0
        super.close()
    }
}
