#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// System calls whose names methods of sockets have too.
enum SystemCall {
    @inline(__always)
    static func close(_ descriptor: CInt) {
        // A descriptor is gone after EINTR too (Linux).
        #if canImport(Glibc)
        _ = Glibc.close(descriptor)
        #else
        _ = Musl.close(descriptor)
        #endif
    }

    @inline(__always)
    static func send(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int {
        // No SIGPIPE: the error number says it.
        #if canImport(Glibc)
        Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        #else
        Musl.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
        #endif
    }
}
