extension CheckedSet {
    /// LMCache files and command lines that somebody already has.
    package struct Sources: Sendable, Hashable {
        /// One LMCache file.
        package struct File: Sendable, Hashable {
            /// Its name, for messages.
            package var name: String
            /// Its text.
            package var text: String

            /// Names a file.
            package init(name: String, text: String) {
                self.name = name
                self.text = text
            }
        }

        /// The LMCache files.
        package var files: [File] = []
        /// Command lines of prefill engines, with assignments in front; the last one counts for further engines too.
        package var prefillCommands: [String] = []
        /// Command lines of decode engines.
        package var decodeCommands: [String] = []
        /// The proxy's command line.
        package var proxyCommand: String?

        /// Nothing.
        package init() {}
    }

    /// Reads existing files and command lines.
    ///
    /// - Parameters:
    ///   - sources: what there is.
    ///   - problems: what could not be read at all, as findings.
    package init(
        _ sources: Sources, shape: ModelShape?, version: LMCacheVersion, problems: inout [CheckFinding]
    ) {
        lmcacheVersion = version
        handoff = version.generation == .nixlPipe ? .lmcacheLegacy : .lmcache
        for file in sources.files {
            var engine = Engine(name: file.name)
            do throws(YAMLError) {
                engine.document = try LMCacheDocument(yaml: file.text, fileName: file.name, version: version)
            } catch {
                problems.append(
                    CheckFinding(
                        .lmcacheSyntax, "\(file.name):\(error.mark.line):\(error.mark.column)", error.message))
                continue
            }
            engine.role = Self.role(engine.document)
            engines.append(engine)
        }
        take(sources.prefillCommands, .prefill, "--prefill-args", &problems)
        take(sources.decodeCommands, .decode, "--decode-args", &problems)
        if let command = sources.proxyCommand { proxy = Self.proxy(command, &problems, firstToken: &firstToken) }
        let model = engines.lazy.compactMap { $0.arguments?.model }.first
        self.shape = shape ?? model.flatMap { ModelCatalog.named($0) }
        isMultiHost = Self.spansHosts(engines, proxy)
    }

    private static func role(_ document: LMCacheDocument?) -> BackendRole? {
        let role = document?.text("pd_role") ?? document?.text("nixl_role")
        // The role may stand in a key that this version ignores; the file's other keys tell then.
        if role == "sender" || role == "both" { return .prefill }
        if role == "receiver" { return .decode }
        guard let document else { return nil }
        let names = document.marks.keys
        if names.contains(where: { $0.contains("proxy_host") || $0.contains("proxy_port") }) { return .prefill }
        return names.contains { $0.contains("peer_init_port") || $0.contains("peer_alloc_port") } ? .decode : nil
    }

    /// Joins command lines with the files of a role, in order.
    private mutating func take(
        _ commands: [String], _ role: BackendRole, _ option: String, _ problems: inout [CheckFinding]
    ) {
        guard !commands.isEmpty else { return }
        var indices = engines.indices.filter { engines[$0].role == role }
        while indices.count < commands.count {
            engines.append(Engine(name: role.backendID(replica: indices.count), role: role))
            indices.append(engines.count - 1)
        }
        for (position, index) in indices.enumerated() {
            let text = position < commands.count ? commands[position] : commands[commands.count - 1]
            guard let (environment, words) = ShellWords.command(text) else {
                problems.append(CheckFinding(.kvTransferKeys, option, "a quote is not closed"))
                return
            }
            var arguments = EngineArguments(words)
            // One command line for several engines cannot have the right port for each.
            if position >= commands.count { arguments = arguments.removing("port") }
            engines[index].arguments = arguments
            engines[index].environment = environment
            engines[index].document?.apply(environment: environment, version: lmcacheVersion)
            engines[index].transfer = KVTransferView(arguments)
            engines[index].tensorParallel = arguments.integer("tensor-parallel-size", "tp") ?? 1
            engines[index].pipelineParallel = arguments.integer("pipeline-parallel-size", "pp") ?? 1
        }
    }

    /// The proxy's flags: LMCache's example program's, which `disagg-proxy` takes too.
    private static func proxy(
        _ command: String, _ problems: inout [CheckFinding], firstToken: inout FirstTokenSource?
    ) -> Proxy? {
        guard let (_, words) = ShellWords.command(command) else {
            problems.append(CheckFinding(.decoderPorts, "--proxy-args", "a quote is not closed"))
            return nil
        }
        let arguments = EngineArguments(words)
        var proxy = Proxy()
        proxy.name = "--proxy-args"
        proxy.isExample = words.contains { $0.hasSuffix(".py") }
        // The example always takes the first token from prefill.
        firstToken = proxy.isExample ? .prefill : arguments.value("first-token").flatMap(FirstTokenSource.init)
        func list(_ name: String, _ value: String) -> [String] {
            (arguments.value(name) ?? value).split(separator: ",").map { String($0.filter { $0 != " " }) }
        }
        func ports(_ name: String, _ value: String) -> [Int] { list(name, value).compactMap { Int($0) } }
        proxy.notify = Endpoint(
            host: arguments.value("proxy-host") ?? "localhost", port: arguments.integer("proxy-port") ?? 8500)
        if let notify = arguments.value("notify").flatMap(ConfigText.endpoint) { proxy.notify = notify }
        proxy.chunkSize = arguments.integer("chunk-size")
        let hosts = list("decoder-host", "localhost")
        let http = ports("decoder-port", "8200")
        let initPorts = ports("decoder-init-port", "8300")
        let allocPorts = ports("decoder-alloc-port", "8400")
        let count = max(1, min(1024, arguments.integer("num-decoders") ?? 1))
        let steps = hosts.count == 1 && http.count == 1
        proxy.receivers = (0..<(steps ? count : max(hosts.count, http.count))).map { index in
            let offset = steps ? index : 0
            return PDReceiver(
                host: hosts.indices.contains(index) ? hosts[index] : hosts.first ?? "localhost",
                initPorts: initPorts.map { $0 &+ offset }, allocPorts: allocPorts.map { $0 &+ offset })
        }
        if proxy.isExample { proxy.expectedNotifications = initPorts.count }
        return proxy
    }

    /// Whether anything names a host other than this one; nil where nothing is known.
    private static func spansHosts(_ engines: [Engine], _ proxy: Proxy?) -> Bool? {
        var hosts = proxy?.receivers.map(\.host) ?? []
        for engine in engines {
            hosts += ["pd_peer_host", "nixl_peer_host", "pd_proxy_host", "nixl_proxy_host"].compactMap {
                engine.document?.text($0)
            }
        }
        guard !hosts.isEmpty else { return nil }
        return hosts.contains { CheckRules.machine($0) != "this machine" }
    }
}

extension EngineArguments {
    /// Without an option and its value.
    func removing(_ name: String) -> EngineArguments {
        var result: [String] = []
        var skip = false
        for word in words {
            if skip {
                skip = false
            } else if word == "--\(name)" {
                skip = true
            } else if !word.hasPrefix("--\(name)=") {
                result.append(word)
            }
        }
        return EngineArguments(result)
    }
}
