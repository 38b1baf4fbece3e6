internal import Glibc

/// What tells whether a file is another one than before: editors write anew or replace, and both change it.
struct FileMark: Sendable, Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let bytes: Int
    private let seconds: Int
    private let nanoseconds: Int

    /// Looks at a file; nil where it is not there.
    init?(_ path: String) {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        device = UInt64(truncatingIfNeeded: found.st_dev)
        inode = UInt64(truncatingIfNeeded: found.st_ino)
        bytes = Int(found.st_size)
        seconds = found.st_mtim.tv_sec
        nanoseconds = found.st_mtim.tv_nsec
    }
}
