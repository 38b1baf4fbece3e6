/// Applies the rules to a set; the result is in a fixed order.
package struct CheckRules {
    let subject: CheckedSet
    var findings: [CheckFinding] = []

    /// All findings of a set, errors first, otherwise in the order of the rules and engines.
    package static func run(_ subject: CheckedSet) -> [CheckFinding] {
        var rules = CheckRules(subject)
        rules.checkVersions()
        for engine in subject.engines {
            rules.checkDocument(engine)
            rules.checkEngine(engine)
        }
        rules.checkAgreement()
        rules.checkProxy()
        var seen: Set<CheckFinding> = []
        let unique = rules.findings.filter { seen.insert($0).inserted }
        return unique.enumerated().sorted { left, right in
            let (first, second) = (
                CheckCatalog.severity(left.element.check), CheckCatalog.severity(right.element.check)
            )
            return first == second ? left.offset < right.offset : first < second
        }.map(\.element)
    }

    private init(_ subject: CheckedSet) { self.subject = subject }

    mutating func find(_ check: CheckID, _ place: String, _ message: String) {
        findings.append(CheckFinding(check, place, message))
    }

    /// A key's place in a file, `P.yaml:3:1`; the file, or the engine, where the key is absent.
    func place(_ engine: CheckedSet.Engine, _ key: String = "") -> String {
        guard let document = engine.document else { return engine.name }
        guard let mark = document.marks[key] else { return document.fileName }
        return "\(document.fileName):\(mark.line):\(mark.column)"
    }

    /// The engines' connector, nil where the hand-off has none.
    var connector: KVConnector? { KVConnector(subject.handoff) }

    /// Whether LMCache PD is what hands the KV over.
    var isPD: Bool { subject.handoff == .lmcache || subject.handoff == .lmcacheLegacy }

    // MARK: - Versions

    private mutating func checkVersions() {
        let version = subject.lmcacheVersion
        if let vllm = subject.vllmVersion, vllm >= LMCacheVersion(0, 33, 0), subject.handoff != .none,
            let nixl = subject.nixlVersion, nixl < LMCacheVersion(1, 5, 0)
        {
            find(.versionNIXL, "nixl", "NIXL \(nixl) with vLLM \(vllm)")
        }
        guard isPD else { return }
        switch (subject.handoff, version.generation) {
        case (.lmcache, .nixlPipe): find(.versionGeneration, "lmcache", "LMCache \(version) notifies no proxy")
        case (.lmcacheLegacy, .pd): find(.versionGeneration, "lmcache", "LMCache \(version) has no enable_nixl")
        default: break
        }
        if let python = subject.pythonVersion, version < LMCacheVersion(0, 4, 1), python < LMCacheVersion(3, 12, 0) {
            find(.versionHash, "lmcache", "LMCache \(version) on Python \(python)")
        }
        guard subject.handoff == .lmcache else { return }
        if isAsync, version < LMCacheVersion(0, 5, 0) {
            find(.versionSharedPrefix, "lmcache", "LMCache \(version) with the async backend")
        }
        if version < LMCacheVersion(0, 5, 3) {
            find(.versionOversized, "lmcache", "LMCache \(version)")
        }
        if !isAsync {
            find(.versionPartialDeadlock, "lmcache", "LMCache \(version) with the sync backend")
        }
    }

    /// Whether the async backend is in force, by the engines' files.
    private var isAsync: Bool {
        guard subject.lmcacheVersion.hasAsyncBackend else { return false }
        return !subject.engines.contains { $0.document?.text("pd_backend_mode") == "sync" }
    }

    // MARK: - What must agree

    /// Notes where engines have different values; `nil` counts as the default given.
    private mutating func same(
        _ check: CheckID, _ what: String, _ key: String, of value: (CheckedSet.Engine) -> String?
    ) {
        var first: (engine: CheckedSet.Engine, value: String)?
        for engine in subject.engines {
            guard let found = value(engine) else { continue }
            guard let known = first else {
                first = (engine, found)
                continue
            }
            if known.value != found {
                find(
                    check, place(engine, key),
                    "\(what) is \(found) here and \(known.value) in \(known.engine.name)")
            }
        }
    }

    private mutating func checkAgreement() {
        guard subject.handoff != .none else { return }
        if isPD {
            same(.chunkSize, "chunk_size", "chunk_size") { $0.document.map { "\($0.integer("chunk_size") ?? 256)" } }
            same(.hashAlgorithm, "pre_caching_hash_algorithm", "pre_caching_hash_algorithm") {
                $0.document.map { $0.text("pre_caching_hash_algorithm") ?? "builtin" }
            }
            same(.modelDiffers, "the model", "") { $0.arguments?.model.map { "\"\($0)\"" } }
            same(.kvType, "--kv-cache-dtype", "") {
                $0.arguments.map { $0.value("kv-cache-dtype") ?? "auto" }
            }
            same(.speculation, "--speculative-config", "") {
                $0.arguments.map { arguments in
                    guard arguments.contains("speculative-config") else { return "absent" }
                    let view = arguments.value("speculative-config").flatMap { try? JSONView(parsing: $0) }
                    return view?["method"]?.string ?? "present"
                }
            }
            checkParallelism()
            checkPorts()
        }
        if isPD || connector == .offloadP2P { checkSeeds() }
    }

    private mutating func checkParallelism() {
        guard subject.shape?.isLatent != true else { return }
        same(.parallelism, "tensor × pipeline parallel size", "") { engine in
            engine.worldSize.map { _ in "\(engine.tensorParallel ?? 1) × \(engine.pipelineParallel ?? 1)" }
        }
    }

    private mutating func checkSeeds() {
        var first: (name: String, seed: String)?
        for engine in subject.engines {
            guard let environment = engine.environment else { continue }
            guard let seed = environment["PYTHONHASHSEED"], !seed.isEmpty else {
                find(.hashSeed, engine.name, "PYTHONHASHSEED is not set")
                continue
            }
            if seed == "random" { find(.hashSeed, engine.name, "PYTHONHASHSEED=random differs in each process") }
            if let first, first.seed != seed {
                find(
                    .hashSeed, engine.name, "PYTHONHASHSEED is \"\(seed)\" here and \"\(first.seed)\" in \(first.name)")
            }
            if first == nil { first = (engine.name, seed) }
        }
    }

    /// No two receivers on one machine may share a port; hosts that are not known count as one machine.
    private mutating func checkPorts() {
        var owners: [String: [(port: Int, engine: String, purpose: String)]] = [:]
        func claim(_ host: String, _ port: Int, _ engine: CheckedSet.Engine, _ purpose: String, _ key: String) {
            let machine = Self.machine(host)
            if let other = owners[machine]?.first(where: { $0.port == port }) {
                let check: CheckID = other.engine == engine.name ? .portClash : .decoderPortsOverlap
                find(
                    check, place(engine, key),
                    "port \(port) is \(engine.name)'s \(purpose) and \(other.engine)'s \(other.purpose)")
            }
            owners[machine, default: []].append((port, engine.name, purpose))
        }
        for (engine, document) in subject.documents(.decode) {
            let host = engine.host ?? document.text("pd_peer_host") ?? ""
            for (key, purpose) in [
                ("pd_peer_init_port", "init port"), ("pd_peer_alloc_port", "alloc port"),
                ("pd_peer_query_port", "query port"), ("nixl_peer_init_port", "init port"),
                ("nixl_peer_alloc_port", "alloc port"),
            ] {
                for port in document.integers(key) ?? [] { claim(host, port, engine, purpose, key) }
            }
        }
        for engine in subject.engines {
            guard let document = engine.document, document.bool("internal_api_server_enabled") else { continue }
            let start = document.integer("internal_api_server_port_start") ?? 6999
            let machine = Self.machine(engine.host ?? "")
            for offset in 0...min(4096, engine.worldSize ?? 1) {
                if let other = owners[machine]?.first(where: { $0.port == start &+ offset }) {
                    find(
                        .portClash, place(engine, "internal_api_server_port_start"),
                        "port \(start &+ offset) is the internal API's and \(other.engine)'s \(other.purpose)")
                }
            }
        }
        checkHTTPPorts(owners)
    }

    private mutating func checkHTTPPorts(_ owners: [String: [(port: Int, engine: String, purpose: String)]]) {
        var seen: [String: String] = [:]
        for engine in subject.engines {
            guard let port = engine.arguments?.integer("port") else { continue }
            let machine = Self.machine(engine.host ?? "")
            if let other = seen.updateValue(engine.name, forKey: "\(machine):\(port)") {
                find(.portClash, engine.name, "HTTP port \(port) is \(other)'s too")
            }
            if let other = owners[machine]?.first(where: { $0.port == port }) {
                find(.portClash, engine.name, "HTTP port \(port) is \(other.engine)'s \(other.purpose) too")
            }
        }
    }

    /// What tells machines apart: wildcard and loopback addresses, and no address at all, are this one.
    static func machine(_ host: String) -> String {
        isLoopback(host) || ["0.0.0.0", "::", "*", ""].contains(host) ? "this machine" : host.lowercased()
    }

    static func isLoopback(_ host: String) -> Bool {
        let host = host.lowercased()
        return host == "localhost" || host.hasPrefix("127.") || host == "::1" || host == "[::1]"
    }
}
