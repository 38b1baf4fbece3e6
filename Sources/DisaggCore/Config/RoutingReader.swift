/// Reads the section `routing`.
package enum RoutingReader {
    package static let keys = [
        "policy", "prefill", "decode", "whenAllDown", "slowStart", "scrapeInterval", "breaker", "session",
        "prefixCache",
        "pairCost",
    ]
    package static let roleKeys = [
        "policy", "healthInterval", "healthTimeout", "unhealthyAfter", "maxInFlight", "groups", "kvEvents",
        "kvReplay",
    ]
    package static let breakerKeys = ["failures", "openFor", "openAtMost"]
    package static let sessionKeys = ["headers", "loadFactor"]
    package static let prefixCacheKeys = ["blocks", "lifetime", "minimumShare", "loadFactor"]
    package static let pairCostKeys = [
        "expectedTokens", "decodeWeight", "tokensPerSecond", "timePerToken", "slowdownPerRequest", "cacheUsageLimit",
        "transferWithinGroup", "transferAcrossGroups", "cachedTokenWorth", "blocks", "lifetime",
    ]

    /// Reads the section into the settings.
    static func read(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ routing: inout RoutingSettings
    ) {
        reader.members(of: node, at: path, known: keys) { reader, key, node, path in
            switch key {
            case "policy":
                // For both roles; a role's own line counts more, wherever it stands.
                guard let policy = reader.choice(node, at: path, of: PolicyKind.self) else { return }
                for role in BackendRole.allCases where reader.marks["routing.\(role.rawValue).policy"] == nil {
                    routing[role].policy = policy
                }
            case "prefill": role(node, path, &reader, &routing.prefill)
            case "decode": role(node, path, &reader, &routing.decode)
            case "whenAllDown":
                reader.choice(node, at: path, of: WhenAllDown.self).map { routing.whenAllDown = $0 }
            case "slowStart":
                reader.duration(node, at: path, zeroAllowed: true).map { routing.slowStart = $0 }
            case "scrapeInterval": reader.duration(node, at: path).map { routing.scrapeInterval = $0 }
            case "breaker": breaker(node, path, &reader, &routing.breaker)
            case "session": session(node, path, &reader, &routing.session)
            case "prefixCache": prefixCache(node, path, &reader, &routing.prefixCache)
            case "pairCost": pairCost(node, path, &reader, &routing.pairCost)
            default: break
            }
        }
    }

    private static func role(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ role: inout RoleRouting
    ) {
        reader.members(of: node, at: path, known: roleKeys) { reader, key, node, path in
            switch key {
            case "policy": reader.choice(node, at: path, of: PolicyKind.self).map { role.policy = $0 }
            case "healthInterval":
                reader.duration(node, at: path, zeroAllowed: true).map { role.healthInterval = $0 }
            case "healthTimeout": reader.duration(node, at: path).map { role.healthTimeout = $0 }
            case "unhealthyAfter": reader.integer(node, at: path, in: 1...1000).map { role.unhealthyAfter = $0 }
            case "maxInFlight": reader.integer(node, at: path, in: 0...1_000_000).map { role.maximumInFlight = $0 }
            case "groups":
                role.groups = []
                for element in reader.elements(of: node, at: path) ?? [] {
                    reader.integer(element.node, at: element.path, in: 0...7).map { role.groups.append($0) }
                }
            case "kvEvents": role.kvEvents = endpoints(node, path, &reader)
            case "kvReplay": role.kvReplay = endpoints(node, path, &reader)
            default: break
            }
        }
    }

    private static func endpoints(_ node: YAMLNode, _ path: String, _ reader: inout ConfigReader) -> [Endpoint] {
        (reader.elements(of: node, at: path) ?? []).compactMap {
            reader.endpoint($0.node, at: $0.path, ports: 1...65535)
        }
    }

    private static func breaker(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ breaker: inout BreakerSettings
    ) {
        reader.members(of: node, at: path, known: breakerKeys) { reader, key, node, path in
            switch key {
            case "failures": reader.integer(node, at: path, in: 1...1000).map { breaker.failures = $0 }
            case "openFor": reader.duration(node, at: path).map { breaker.openFor = $0 }
            case "openAtMost": reader.duration(node, at: path).map { breaker.openAtMost = $0 }
            default: break
            }
        }
    }

    private static func session(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ session: inout SessionSettings
    ) {
        reader.members(of: node, at: path, known: sessionKeys) { reader, key, node, path in
            switch key {
            case "headers":
                session.headers = []
                for element in reader.elements(of: node, at: path) ?? [] {
                    reader.string(element.node, at: element.path).map { session.headers.append($0.lowercased()) }
                }
            case "loadFactor":
                reader.number(node, at: path, in: 1.01...100).map { session.loadFactor = $0 }
            default: break
            }
        }
    }

    private static func prefixCache(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ cache: inout PrefixCacheSettings
    ) {
        reader.members(of: node, at: path, known: prefixCacheKeys) { reader, key, node, path in
            switch key {
            case "blocks": reader.integer(node, at: path, in: blockRange).map { cache.maximumBlocks = $0 }
            case "lifetime": reader.duration(node, at: path).map { cache.lifetime = $0 }
            case "minimumShare": reader.number(node, at: path, in: 0...1).map { cache.minimumShare = $0 }
            case "loadFactor": reader.number(node, at: path, in: 1...100).map { cache.loadFactor = $0 }
            default: break
            }
        }
    }

    /// 2,048 blocks are the smallest table, 64 million take 2.6 GB.
    private static let blockRange = 2048...(64 << 20)

    private static func pairCost(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ cost: inout PairCostTunables
    ) {
        reader.members(of: node, at: path, known: pairCostKeys) { reader, key, node, path in
            switch key {
            case "expectedTokens":
                reader.integer(node, at: path, in: 1...1_000_000).map { cost.expectedTokens = $0 }
            case "decodeWeight": reader.number(node, at: path, in: 0...1000).map { cost.decodeWeight = $0 }
            case "tokensPerSecond": reader.number(node, at: path, in: 1...1e9).map { cost.tokensPerSecond = $0 }
            case "timePerToken":
                reader.duration(node, at: path).map { cost.secondsPerToken = Double($0.nanoseconds) / 1e9 }
            case "slowdownPerRequest": reader.number(node, at: path, in: 0...1).map { cost.slowdownPerRequest = $0 }
            case "cacheUsageLimit": reader.number(node, at: path, in: 0...1).map { cost.cacheUsageLimit = $0 }
            case "transferWithinGroup": seconds(node, path, &reader) { cost.secondsPerTokenWithin = $0 }
            case "transferAcrossGroups": seconds(node, path, &reader) { cost.secondsPerTokenAcross = $0 }
            case "cachedTokenWorth": reader.number(node, at: path, in: 1...100).map { cost.cachedTokenWorth = $0 }
            case "blocks": reader.integer(node, at: path, in: blockRange).map { cost.maximumBlocks = $0 }
            case "lifetime": reader.duration(node, at: path).map { cost.lifetime = $0 }
            default: break
            }
        }
    }

    /// The time for a thousand tokens' KV, as seconds for one.
    private static func seconds(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ store: (Double) -> Void
    ) {
        reader.duration(node, at: path, zeroAllowed: true).map { store(Double($0.nanoseconds) / 1e12) }
    }
}
