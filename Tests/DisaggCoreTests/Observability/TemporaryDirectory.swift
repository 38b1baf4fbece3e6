@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#endif

/// A directory of a test's own.
struct TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/disagg-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw DisaggError(.unavailable, "mkdtemp: \(errno)") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Writes a file in it and returns the file's path.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        let file = path + "/" + name
        let stream = fopen(file, "w")
        guard let stream else { throw DisaggError(.unavailable, "fopen: \(errno)") }
        fputs(text, stream)
        fclose(stream)
        return file
    }

    /// Removes it with the files in it.
    func remove() {
        for name in ProcFile.names(in: path) ?? [] { unlink(path + "/" + name) }
        rmdir(path)
    }
}
