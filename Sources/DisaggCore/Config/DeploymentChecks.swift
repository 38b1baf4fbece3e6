/// Finds contradictions between fields that are each fine alone.
package enum DeploymentChecks {
    /// Most ranks in one group: bounds the work of the checks, and no deployment on one machine comes near.
    private static let maximumRanks = 4096

    /// Adds what contradicts to the reader's problems.
    package static func run(_ deployment: Deployment, _ reader: inout ConfigReader) {
        var countable = true
        for role in BackendRole.allCases {
            let group = deployment.group(role)
            let (ranks, overflow) = group.worldSize.multipliedReportingOverflow(by: group.endpoints.count)
            if overflow || ranks > maximumRanks {
                reader.note("expected at most \(maximumRanks) ranks in all, got \(ranks)", at: role.rawValue)
                countable = false
            }
        }
        guard countable else { return }
        for role in BackendRole.allCases { checkGroup(deployment, role, &reader) }
        for role in BackendRole.allCases { checkKVEvents(deployment, role, &reader) }
        checkRoles(deployment, &reader)
        checkParallelism(deployment, &reader)
        checkBuffers(deployment, &reader)
        checkGeneration(deployment, &reader)
        checkPorts(deployment, &reader)
        HandoffSections.check(deployment, &reader)
        if deployment.model.contains("@"), [.lmcache, .lmcacheLegacy].contains(deployment.handoff) {
            reader.note("expected no \"@\" in the name, LMCache's keys are split there", at: "model")
        }
    }

    private static func checkGroup(_ deployment: Deployment, _ role: BackendRole, _ reader: inout ConfigReader) {
        let group = deployment.group(role)
        let section = role.rawValue
        let engines = group.endpoints.count
        if !group.gpus.isEmpty, group.gpus.count != engines * group.devicesPerEngine {
            reader.note(
                "expected \(engines * group.devicesPerEngine) GPUs (\(engines) engines of \(group.devicesPerEngine) ranks), "
                    + "got \(group.gpus.count)", at: "\(section).gpus")
        }
        if !group.urls.isEmpty, reader.marks["\(section).replicas"] != nil, group.replicas != group.urls.count {
            reader.note(
                "expected \(group.urls.count), one for each of \(section).urls, got \(group.replicas); leave it out",
                at: "\(section).replicas")
        }
        guard !group.explicitReceiverPorts.isEmpty else { return }
        if group.explicitReceiverPorts.count != engines {
            reader.note(
                "expected \(engines) entries, one for each engine, got \(group.explicitReceiverPorts.count)",
                at: "\(section).receiverPorts")
        }
        for (index, ports) in group.explicitReceiverPorts.enumerated() {
            for (name, list) in [("init", ports.initPorts), ("alloc", ports.allocPorts)]
            where list.count != group.worldSize {
                reader.note(
                    "expected \(group.worldSize) ports, one for each rank, got \(list.count)",
                    at: "\(section).receiverPorts[\(index)].\(name)")
            }
        }
    }

    /// Only engines of LMCache's multi-process mode can be started for both roles.
    private static func checkRoles(_ deployment: Deployment, _ reader: inout ConfigReader) {
        guard deployment.lmcache.enginesChangeRoles else { return }
        guard deployment.handoff != .lmcacheMP else { return }
        reader.note(
            "expected handoff lmcache-mp beside it, got \(deployment.handoff.rawValue)", at: "lmcache.changeRoles")
    }

    private static func checkKVEvents(_ deployment: Deployment, _ role: BackendRole, _ reader: inout ConfigReader) {
        let routing = deployment.routing[role]
        let engines = deployment.group(role).endpoints.count
        if routing.policy == .kvEvents || !routing.kvEvents.isEmpty, routing.kvEvents.count != engines {
            reader.note(
                "expected \(engines) addresses, one for each \(role.rawValue) engine, got \(routing.kvEvents.count)",
                at: "routing.\(role.rawValue).kvEvents")
        }
        if !routing.kvReplay.isEmpty, routing.kvReplay.count != engines {
            reader.note(
                "expected \(engines) addresses, one for each \(role.rawValue) engine, got \(routing.kvReplay.count)",
                at: "routing.\(role.rawValue).kvReplay")
        }
    }

    /// Sender rank *i* writes into receiver rank *i*, so both sides need the same ranks (LMCache `pd_backend.py` 533-535).
    private static func checkParallelism(_ deployment: Deployment, _ reader: inout ConfigReader) {
        guard [.lmcache, .lmcacheLegacy].contains(deployment.handoff) else { return }
        // One rank stores a latent cache, under a key that names no rank: any other number of ranks finds it.
        if deployment.handoff == .lmcache, deployment.lmcache.storesOnFirstRankOnly { return }
        let fields: [(String, KeyPath<EngineGroup, Int>)] = [
            ("tensorParallel", \.tensorParallel), ("pipelineParallel", \.pipelineParallel),
        ]
        for (name, field) in fields {
            let prefill = deployment.prefill[keyPath: field]
            let decode = deployment.decode[keyPath: field]
            if prefill != decode {
                let path = reader.marks["decode.\(name)"] != nil ? "decode.\(name)" : "prefill.\(name)"
                reader.note(
                    "the \(deployment.handoff.rawValue) hand-off needs the same \(name) on both sides, "
                        + "got prefill \(prefill) and decode \(decode)", at: path)
            }
        }
    }

    private static func checkBuffers(_ deployment: Deployment, _ reader: inout ConfigReader) {
        guard [.lmcache, .lmcacheLegacy].contains(deployment.handoff) else { return }
        let sizing = LMCacheSizing(deployment)
        guard let chunk = sizing.alignment else { return }
        let buffers = [
            ("prefillBufferBytes", deployment.lmcache.prefillBufferBytes),
            ("decodeBufferBytes", deployment.lmcache.decodeBufferBytes),
        ]
        for (name, configured) in buffers {
            guard let bytes = configured else { continue }
            if bytes < chunk {
                reader.note(
                    "expected at least one chunk of \(deployment.lmcache.chunkSize) tokens, "
                        + "\(ConfigText.text(bytes: chunk)) for this model, got \(ConfigText.text(bytes: bytes))",
                    at: "lmcache.\(name)")
            } else if deployment.lmcache.maximumPrefillTokens != nil,
                let capacity = sizing.capacityTokens(bytes: bytes), capacity < sizing.longestPrompt
            {
                reader.note(
                    "holds \(capacity) tokens, less than maxPrefillTokens \(sizing.longestPrompt): LMCache would not "
                        + "start the hand-off", at: "lmcache.\(name)")
            }
        }
    }

    /// Keys of one generation do nothing in another, without an error.
    private static func checkGeneration(_ deployment: Deployment, _ reader: inout ConfigReader) {
        let lmcache = deployment.lmcache
        let version = deployment.lmcacheVersion
        let path = "lmcache.version"
        switch (deployment.handoff, version.generation) {
        case (.lmcache, .nixlPipe):
            reader.note("LMCache \(version) tells no proxy about transfers: use handoff lmcache-legacy", at: path)
        case (.lmcacheLegacy, .pd):
            reader.note("LMCache \(version) has no enable_nixl any more: use handoff lmcache", at: path)
        default: break
        }
        if lmcache.backend == .async, !version.hasAsyncBackend {
            reader.note("LMCache \(version) has no async backend, which came with 0.4.5", at: "lmcache.backend")
        }
        let isPD = [.lmcache, .lmcacheLegacy].contains(deployment.handoff)
        if isPD, version < LMCacheVersion(0, 4, 2), !lmcache.tiers.isEmpty {
            reader.note(
                "LMCache \(version) refuses other storage beside PD, which came with 0.4.2", at: "lmcache.remoteStore")
        }
        if deployment.handoff == .lmcache, deployment.decode.transfer.queryPort != nil {
            if !version.hasAsyncBackend || lmcache.backend != .sync {
                reader.note(
                    "only the sync backend of LMCache 0.4.5 and later answers there (lmcache: {backend: sync})",
                    at: "decode.queryPort")
            }
            if deployment.decode.endpoints.count > 1 {
                reader.note(
                    "expected one decode engine, since a prefill engine has one list of these ports for all, got "
                        + "\(deployment.decode.endpoints.count)", at: "decode.queryPort")
            }
        }
        if lmcache.tiers.diskPath != nil, lmcache.tiers.diskBytes == 0 {
            reader.note("a disk tier needs its size too (diskTier)", at: "lmcache.diskTierPath")
        }
    }

    private static func checkPorts(_ deployment: Deployment, _ reader: inout ConfigReader) {
        let claims = deployment.portClaims
        var byPort: [Int: [PortClaim]] = [:]
        for claim in claims {
            let port = claim.endpoint.port
            if port > 65535 {
                reader.note(
                    "the \(claim.purpose) port of \(claim.process) would be \(port), above 65535", at: claim.path)
                continue
            }
            if let other = byPort[port]?.first(where: { $0.conflicts(with: claim) }) {
                reader.note(
                    "port \(port) is wanted twice: \(claim.process) (\(claim.purpose)) and \(other.process) "
                        + "(\(other.purpose), \(other.path))", at: claim.path)
            }
            byPort[port, default: []].append(claim)
        }
    }
}
