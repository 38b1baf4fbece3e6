/// Text for a POSIX shell.
package enum ShellText {
    /// The word as it is where it is harmless, in single quotes otherwise.
    package static func quoted(_ word: String) -> String {
        let harmless = word.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) && byte < 0x80
                || "_-./:,@%+=".utf8.contains(byte)
        }
        guard !harmless || word.isEmpty else { return word }
        return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// A command line.
    package static func command(_ words: [String]) -> String { words.map(quoted).joined(separator: " ") }
}
