internal import Glibc
internal import NIOPosix

/// Asks a name server for `SRV` records, which the system's resolver interface does not give.
enum ServiceLookup {
    private static let tries = 2
    private static let patience = timeval(tv_sec: 2, tv_usec: 0)

    /// The services of a name.
    ///
    /// - Parameter server: the name server; that of `/etc/resolv.conf` where nil.
    /// - Throws: ``DisaggError`` that says why they are not known.
    static func services(_ name: String, server: Endpoint?) async throws(DisaggError) -> [DNSMessage.Service] {
        let server = server ?? systemServer
        let result: Result<[DNSMessage.Service], DisaggError>
        do {
            result = try await NIOThreadPool.singleton.runIfActive {
                var generator = SystemRandomNumberGenerator()
                return ask(name, server, using: &generator)
            }
        } catch {
            throw DisaggError(.unavailable, "\(name): the look-up was cancelled")
        }
        return try result.get()
    }

    private static var systemServer: Endpoint {
        for line in (ProcFile.text("/etc/resolv.conf") ?? "").split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count >= 2, words[0] == "nameserver" { return Endpoint(host: String(words[1]), port: 53) }
        }
        return Endpoint(host: "127.0.0.1", port: 53)
    }

    private static func ask(
        _ name: String, _ server: Endpoint, using generator: inout some RandomNumberGenerator
    ) -> Result<[DNSMessage.Service], DisaggError> {
        var failure = "no answer from \(server)"
        for _ in 0..<tries {
            let id = UInt16.random(in: 0...UInt16.max, using: &generator)
            guard let question = DNSMessage.question(name, id: id) else {
                return .failure(DisaggError(.badRequest, "\(name) is no domain name"))
            }
            guard let answer = exchange(question, server) else { continue }
            do throws(DNSMessage.Failure) {
                return .success(try DNSMessage.services(in: answer, to: name, id: id))
            } catch {
                switch error {
                case .noSuchName: return .failure(DisaggError(.notFound, "\(name): there is no such name"))
                case .truncated: return .failure(DisaggError(.badGateway, "\(name): the answer is too large"))
                case .refused(let code): failure = "\(server) answered with code \(code)"
                case .malformed: failure = "\(server) sent a malformed answer"
                }
            }
        }
        return .failure(DisaggError(.unavailable, "\(name): \(failure)"))
    }

    /// One datagram there, one back; nil where none came in time. The socket is connected, so strangers' are not taken.
    private static func exchange(_ question: [UInt8], _ server: Endpoint) -> [UInt8]? {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(server.host, String(server.port), &hints, &list) == 0, let address = list?.pointee else {
            return nil
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(address.ai_family, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var patience = patience
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard connect(descriptor, address.ai_addr, address.ai_addrlen) == 0,
            send(descriptor, question, question.count, 0) == question.count
        else { return nil }
        var answer = [UInt8](repeating: 0, count: DNSMessage.maximumBytes)
        let count = recv(descriptor, &answer, answer.count, 0)
        return count > 0 ? Array(answer[..<count]) : nil
    }
}
