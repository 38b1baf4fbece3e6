/// Writes the section `routing`.
enum RoutingWriter {
    /// The section's lines, every field with its value.
    static func lines(_ routing: RoutingSettings) -> [String] {
        var lines = ["routing:"]
        for role in BackendRole.allCases {
            let settings = routing[role]
            lines += [
                "  \(role.rawValue):",
                "    policy: \(settings.policy.rawValue)",
                "    healthInterval: \(ConfigText.text(settings.healthInterval))",
                "    healthTimeout: \(ConfigText.text(settings.healthTimeout))",
                "    unhealthyAfter: \(settings.unhealthyAfter)",
                "    maxInFlight: \(settings.maximumInFlight)",
            ]
            for (name, endpoints) in [("kvEvents", settings.kvEvents), ("kvReplay", settings.kvReplay)]
            where !endpoints.isEmpty {
                lines.append("    \(name): \(YAMLText.list(endpoints.map { YAMLText.quoted($0.description) }))")
            }
            if !settings.groups.isEmpty {
                lines.append("    groups: \(YAMLText.list(settings.groups.map(String.init)))")
            }
        }
        let cost = routing.pairCost
        return lines + [
            "  whenAllDown: \(routing.whenAllDown.rawValue)",
            "  slowStart: \(ConfigText.text(routing.slowStart))",
            "  scrapeInterval: \(ConfigText.text(routing.scrapeInterval))",
            "  breaker:",
            "    failures: \(routing.breaker.failures)",
            "    openFor: \(ConfigText.text(routing.breaker.openFor))",
            "    openAtMost: \(ConfigText.text(routing.breaker.openAtMost))",
            "  session:",
            "    headers: \(YAMLText.list(routing.session.headers.map(YAMLText.quoted)))",
            "    loadFactor: \(routing.session.loadFactor)",
            "  prefixCache:",
            "    blocks: \(routing.prefixCache.maximumBlocks)",
            "    lifetime: \(ConfigText.text(routing.prefixCache.lifetime))",
            "    minimumShare: \(routing.prefixCache.minimumShare)",
            "    loadFactor: \(routing.prefixCache.loadFactor)",
            "  pairCost:",
            "    expectedTokens: \(cost.expectedTokens)",
            "    decodeWeight: \(cost.decodeWeight)",
            "    tokensPerSecond: \(cost.tokensPerSecond)",
            "    timePerToken: \(ConfigText.text(.nanoseconds(Int64((cost.secondsPerToken * 1e9).rounded()))))",
            "    slowdownPerRequest: \(cost.slowdownPerRequest)",
            "    cacheUsageLimit: \(cost.cacheUsageLimit)",
            "    transferWithinGroup: \(perThousand(cost.secondsPerTokenWithin))",
            "    transferAcrossGroups: \(perThousand(cost.secondsPerTokenAcross))",
            "    cachedTokenWorth: \(cost.cachedTokenWorth)",
            "    blocks: \(cost.maximumBlocks)",
            "    lifetime: \(ConfigText.text(cost.lifetime))",
        ]
    }

    private static func perThousand(_ seconds: Double) -> String {
        ConfigText.text(.nanoseconds(Int64((seconds * 1e12).rounded())))
    }
}
