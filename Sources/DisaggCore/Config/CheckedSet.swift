/// Engines and a proxy that shall work together: what the rules look at, whether it was generated or found.
package struct CheckedSet: Sendable, Hashable {
    /// One engine. What is not known is nil, and rules that need it are left out.
    package struct Engine: Sendable, Hashable {
        /// What messages call it: `prefill-0`, or a file's name.
        package var name: String
        /// Its half of a generation.
        package var role: BackendRole?
        /// Its LMCache file, environment applied.
        package var document: LMCacheDocument?
        /// Its command line.
        package var arguments: EngineArguments?
        /// Its environment.
        package var environment: [String: String]?
        /// `--kv-transfer-config`.
        package var transfer: KVTransferView?
        /// Host of its HTTP server.
        package var host: String?
        /// Tensor parallel size.
        package var tensorParallel: Int?
        /// Pipeline parallel size.
        package var pipelineParallel: Int?

        /// Creates an engine of which nothing is known.
        package init(name: String, role: BackendRole? = nil) {
            self.name = name
            self.role = role
        }

        /// Ranks, nil where neither size is known.
        package var worldSize: Int? {
            guard tensorParallel != nil || pipelineParallel != nil else { return nil }
            return max(1, tensorParallel ?? 1) * max(1, pipelineParallel ?? 1)
        }
    }

    /// The proxy.
    package struct Proxy: Sendable, Hashable {
        /// What messages call it.
        package var name = "proxy"
        /// Where it takes notifications; nil where not known.
        package var notify: Endpoint?
        /// The receivers it names in requests, decoder by decoder.
        package var receivers: [PDReceiver] = []
        /// Notifications it waits for.
        package var expectedNotifications: Int?
        /// Whether it is LMCache's example program.
        package var isExample = false
        /// `--chunk-size`.
        package var chunkSize: Int?

        /// Creates a proxy of which nothing is known.
        package init() {}
    }

    /// The engines.
    package var engines: [Engine] = []
    /// The proxy, nil where nothing is known of it.
    package var proxy: Proxy?
    /// The hand-off.
    package var handoff = HandoffKind.lmcache
    /// Who samples the first token; nil where not known.
    package var firstToken: FirstTokenSource?
    /// The model's shape.
    package var shape: ModelShape?
    /// LMCache's version.
    package var lmcacheVersion = LMCacheVersion.newestKnown
    /// vLLM's version, nil where not known.
    package var vllmVersion: LMCacheVersion?
    /// NIXL's version, nil where not known.
    package var nixlVersion: LMCacheVersion?
    /// Python's version, nil where not known.
    package var pythonVersion: LMCacheVersion?
    /// Whether engines or the proxy run on several machines; nil where not known.
    package var isMultiHost: Bool?
    /// Whether the engines are vLLM; SGLang and others have other arguments.
    package var isVLLM = true

    /// Creates an empty set.
    package init() {}

    /// The LMCache documents of one role with their engines.
    package func documents(_ role: BackendRole) -> [(engine: Engine, document: LMCacheDocument)] {
        engines.compactMap { engine in
            guard engine.role == role, let document = engine.document else { return nil }
            return (engine, document)
        }
    }
}
