internal import HTTPTypes

/// What a path and a method of the admin listener ask for. `Docs/openapi-admin.yaml` describes the same, and a test
/// compares the two.
package enum AdminRoute: Sendable, Equatable {
    case page, health, metrics
    case status
    case listBackends, addBackend
    case showBackend(String), removeBackend(String)
    case drain(String), resume(String), setWeight(String), setRole(String)
    case showReload, reload
    case notFound
    /// The path exists; only these methods do.
    case methodNotAllowed(allowed: String)

    /// Whether it changes something, so that it needs the token in any case.
    package var isChange: Bool {
        switch self {
        case .addBackend, .removeBackend, .drain, .resume, .setWeight, .setRole, .reload: true
        default: false
        }
    }

    /// Whether everybody may have it: it tells nothing.
    package var isOpen: Bool { self == .page || self == .health }

    /// Every path with its methods, `{id}` standing for a backend's id.
    package static let all: [(path: String, methods: [String])] = [
        ("/", ["GET"]), ("/health", ["GET"]), ("/metrics", ["GET"]), ("/admin/v1/status", ["GET"]),
        ("/admin/v1/backends", ["GET", "POST"]), ("/admin/v1/backends/{id}", ["GET", "DELETE"]),
        ("/admin/v1/backends/{id}/drain", ["POST"]), ("/admin/v1/backends/{id}/resume", ["POST"]),
        ("/admin/v1/backends/{id}/weight", ["PUT"]), ("/admin/v1/backends/{id}/role", ["PUT"]),
        ("/admin/v1/reload", ["GET", "POST"]),
    ]

    /// Finds the route of a request.
    package static func find(method: String, path: Substring) -> AdminRoute {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        for route in all {
            let pattern = route.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            guard pattern.count == parts.count else { continue }
            var id: String?
            let matches = zip(pattern, parts).allSatisfy { expected, found in
                guard expected == "{id}" else { return expected == found }
                id = percentDecoded(found)
                return id?.isEmpty == false
            }
            guard matches else { continue }
            guard route.methods.contains(method) else {
                return .methodNotAllowed(allowed: route.methods.joined(separator: ", "))
            }
            return named(route.path, method, id ?? "")
        }
        return .notFound
    }

    private static func named(_ path: String, _ method: String, _ id: String) -> AdminRoute {
        switch (path, method) {
        case ("/", _): .page
        case ("/health", _): .health
        case ("/metrics", _): .metrics
        case ("/admin/v1/status", _): .status
        case ("/admin/v1/backends", "GET"): .listBackends
        case ("/admin/v1/backends", "POST"): .addBackend
        case ("/admin/v1/backends/{id}", "GET"): .showBackend(id)
        case ("/admin/v1/backends/{id}", "DELETE"): .removeBackend(id)
        case ("/admin/v1/backends/{id}/drain", _): .drain(id)
        case ("/admin/v1/backends/{id}/resume", _): .resume(id)
        case ("/admin/v1/backends/{id}/weight", _): .setWeight(id)
        case ("/admin/v1/backends/{id}/role", _): .setRole(id)
        case ("/admin/v1/reload", "GET"): .showReload
        case ("/admin/v1/reload", "POST"): .reload
        default: .notFound
        }
    }

    /// Text of a path without its percent escapes; nil where one is broken.
    package static func percentDecoded(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
