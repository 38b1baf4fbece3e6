/// A version of LMCache; pre-release suffixes count for nothing.
public struct LMCacheVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// First number.
    public var major: Int
    /// Second number.
    public var minor: Int
    /// Third number.
    public var patch: Int

    /// Names a version.
    public init(_ major: Int, _ minor: Int, _ patch: Int) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads `0.5.6`, `v0.5.6`, `0.5.7rc2`, `0.4.1+cu128`; nil for anything that does not begin with two numbers.
    public init?(_ text: some StringProtocol) {
        let parts = text.drop { $0 == "v" }.split(separator: ".", omittingEmptySubsequences: false).prefix(3)
        let numbers = parts.map { part in Int(part.prefix { $0.isASCII && $0.isNumber }) }
        guard numbers.count >= 2, let major = numbers[0], let minor = numbers[1], (0...9999).contains(major),
            (0...9999).contains(minor)
        else { return nil }
        let patch = numbers.count > 2 ? numbers[2] ?? 0 : 0
        self.init(major, minor, min(max(0, patch), 9999))
    }

    /// The newest version whose keys and rules were read for this package; what is assumed where none is known.
    public static let newestKnown = LMCacheVersion(0, 5, 6)

    /// `0.5.6`
    public var description: String { "\(major).\(minor).\(patch)" }

    /// By numbers, not by text.
    public static func < (left: LMCacheVersion, right: LMCacheVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }

    /// The set of configuration keys the version understands.
    public var generation: LMCacheGeneration {
        if self < LMCacheVersion(0, 3, 3) { return .nixlPipe }
        if self < LMCacheVersion(0, 3, 7) { return .xpyd }
        return .pd
    }

    /// Whether the version has the asynchronous PD backend, its default from then on.
    public var hasAsyncBackend: Bool { self >= LMCacheVersion(0, 4, 5) }
}

/// Sets of configuration keys. A file written for one is taken by the others without an error, and does nothing there.
///
/// Found by loading the same files with twelve released versions.
public enum LMCacheGeneration: String, Sendable, Hashable, CaseIterable {
    /// 0.3.0 to 0.3.2: `enable_nixl`, one pipe between one sender and one receiver, no notification.
    case nixlPipe = "A"
    /// 0.3.3 to 0.3.6: `enable_nixl` with `enable_xpyd`, `nixl_peer_…` and `nixl_proxy_…`; the proxy is notified.
    case xpyd = "B"
    /// 0.3.7 and later: `enable_pd` and `pd_…`.
    case pd = "C"

    /// The versions, in words.
    public var versions: String {
        switch self {
        case .nixlPipe: "0.3.0 to 0.3.2"
        case .xpyd: "0.3.3 to 0.3.6"
        case .pd: "0.3.7 or later"
        }
    }
}

/// LMCache's two implementations of PD.
public enum LMCacheBackendMode: String, Sendable, Hashable, CaseIterable {
    /// From 0.4.5, the default there.
    case async
    /// The only one up to 0.4.4.
    case sync
}
