internal import Glibc

/// The secret that changes through the admin API must show. Its text is never written anywhere.
package struct AdminToken: Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    /// A token; nil where the text, without white space around it, is empty or cannot stand in a header.
    package init?(_ text: String) {
        let trimmed = text.utf8.drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }.reversed()
        bytes = Array(trimmed)
        guard !bytes.isEmpty, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    }

    package var description: String { "[token]" }

    /// The configured token: from the file, else from the environment; nil where there is none.
    ///
    /// - Parameter environment: reads a variable.
    /// - Throws: ``DisaggError`` where the named file cannot be read or holds no token.
    package static func configured(
        _ settings: AdminSettings, environment: (String) -> String? = Self.variable
    ) throws(DisaggError) -> AdminToken? {
        if let path = settings.tokenFile {
            guard let text = ProcFile.text(path) else {
                throw DisaggError(
                    .badRequest,
                    "proxy.adminTokenFile: \(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            guard let token = AdminToken(String(text.prefix { $0 != "\n" && $0 != "\r\n" })) else {
                throw DisaggError(
                    .badRequest, "proxy.adminTokenFile: the first line of \(path) must be a token of printable ASCII")
            }
            return token
        }
        guard let text = environment(AdminSettings.tokenVariable), !text.isEmpty else { return nil }
        guard let token = AdminToken(text) else {
            throw DisaggError(.badRequest, "\(AdminSettings.tokenVariable) must be a token of printable ASCII")
        }
        return token
    }

    /// Reads a variable of the process's environment.
    package static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// Whether an `Authorization` header shows the token. Takes as long for a nearly right one as for a wrong one.
    package func matches(authorization: String?) -> Bool {
        guard let authorization else { return false }
        let scheme = "bearer "
        guard authorization.prefix(scheme.count).lowercased() == scheme else { return false }
        let shown = Array(authorization.dropFirst(scheme.count).utf8)
        var difference: UInt8 = shown.count == bytes.count ? 0 : 1
        for index in bytes.indices { difference |= bytes[index] ^ (index < shown.count ? shown[index] : 0) }
        return difference == 0
    }

    /// The value of an `Authorization` header that shows the token.
    package var authorization: String { "Bearer " + String(decoding: bytes, as: UTF8.self) }
}
