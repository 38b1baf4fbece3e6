import Testing

@testable import DisaggCore

@Suite("Checks of existing files")
struct CheckRulesTests {
    /// One thing that people get wrong, and the check that must say so.
    struct Mistake: Sendable, CustomTestStringConvertible {
        var id: CheckID
        var part: @Sendable (inout CheckScene) -> Void
        var testDescription: String { id.rawValue }

        init(_ id: CheckID, _ part: @escaping @Sendable (inout CheckScene) -> Void) {
            self.id = id
            self.part = part
        }

        /// A mistake in one part's text.
        static func text(
            _ id: CheckID, _ part: @escaping @Sendable () -> WritableKeyPath<CheckScene, String>, _ old: String,
            _ new: String
        ) -> Mistake {
            Mistake(id) { $0.change(part(), old, new) }
        }

        static func prefill(_ id: CheckID, _ old: String, _ new: String) -> Mistake {
            text(id, { \.prefill }, old, new)
        }
        static func decode(_ id: CheckID, _ old: String, _ new: String) -> Mistake { text(id, { \.decode }, old, new) }
        static func prefillArgs(_ id: CheckID, _ old: String, _ new: String) -> Mistake {
            text(id, { \.prefillCommand }, old, new)
        }
        static func decodeArgs(_ id: CheckID, _ old: String, _ new: String) -> Mistake {
            text(id, { \.decodeCommand }, old, new)
        }
        static func proxy(_ id: CheckID, _ old: String, _ new: String) -> Mistake {
            text(id, { \.proxyCommand }, old, new)
        }
    }

    static let mistakes: [Mistake] = [
        .prefill(.lmcacheSyntax, "chunk_size: 256", "- a list"),
        .prefill(.lmcacheUnknownKey, "", "pd_bufer_size: 5"),
        .prefill(.lmcacheUnknownKey, "", "pd_backends: [UCX]"),
        .decode(.lmcacheDeadKey, "enable_pd: true", "enable_pd: true\nenable_xpyd: true"),
        .decode(.lmcacheDeadKey, "pd_peer_init_port: [7300]", "nixl_peer_init_port: [7300]"),
        Mistake(.lmcacheOtherVersionKey) { $0.version = LMCacheVersion(0, 4, 4) },
        .prefill(.lmcacheValueType, "pd_buffer_size: 2214592512", "pd_buffer_size: 2e9"),
        .decode(.lmcacheValueType, "[7300]", "\"7300-7301\""),
        .prefill(.lmcacheBoolText, "save_unfull_chunk: true", "save_unfull_chunk: \"yes\""),
        .prefill(.lmcacheOctal, "pd_proxy_port: 7500", "pd_proxy_port: 07500"),
        .prefillArgs(.lmcacheEnvironment, "PYTHONHASHSEED=0", "PYTHONHASHSEED=0 LMCACHE_CHUNK_SIZE=128"),
        .prefillArgs(.lmcacheForceSkipSave, "PYTHONHASHSEED=0", "PYTHONHASHSEED=0 LMCACHE_FORCE_SKIP_SAVE=false"),
        .prefillArgs(.lmcacheOverride, #""lmcache_rpc_port""#, #""lmcache.pd_buffer_size":1,"lmcache_rpc_port""#),
        .prefill(.pdOff, "enable_pd: true", "enable_pd: false"),
        .prefill(.pdRequired, "pd_buffer_device: cuda", ""),
        .decode(.pdRole, "pd_role: receiver", "pd_role: Receiver"),
        .decode(.pdBackendMode, "async", "asynchronous"),
        .decode(.pdBackendMode, "pd_backend_mode: async", "pd_backend_mode: null"),
        .decode(.pdWithP2P, "", "enable_p2p: true"),
        .decode(.p2pIncomplete, "", "enable_p2p: true"),
        .decode(.pdChannel, "nixl", "NIXL"),
        .decode(.pdReceiverAddress, "pd_peer_host: 127.0.0.1", ""),
        .prefill(.pdProxyAddress, "pd_proxy_port: 7500", ""),
        .decodeArgs(.pdPortsPerRank, "--port 8200", "--port 8200 -tp 2"),
        .decode(.pdStoreLocation, "", "store_location: PDBackend"),
        .decode(.pdRetrieveLocations, "", "retrieve_locations: [LocalCPUBackend]"),
        .prefill(.pdUnfullChunks, "save_unfull_chunk: true", "save_unfull_chunk: off"),
        .prefill(.pdLayerwise, "", "use_layerwise: true"),
        .decode(.pdAsyncLoading, "", "enable_async_loading: true"),
        .prefill(.pdSkipNotification, "", "pd_skip_proxy_notification: true"),
        .decode(.pdAsyncIgnores, "", "pd_bidirectional: true"),
        .decode(.minRetrieveTokens, "", "min_retrieve_tokens: 512"),
        .decode(.pdBufferChunk, "4362076160", "1000000"),
        Mistake(.pdBufferMultiple) {
            $0.version = LMCacheVersion(0, 4, 1)
            $0.change(\.decode, "4362076160", "2147483649")
        },
        Mistake(.pdBufferPrompt) {
            $0.change(\.decode, "pd_max_prefill_len: 16384", "")
            $0.change(\.decode, "4362076160", "1073741824")
        },
        .decode(.pdBufferConcurrency, "4362076160", "2181038080"),
        .prefill(.pdMaxPrefill, "2214592512", "1073741824"),
        .decode(.pdMaxPrefillUnset, "pd_max_prefill_len: 16384", ""),
        Mistake(.pdSenderStaging) {
            $0.change(\.prefill, "pd_max_prefill_len: 16384", "")
            $0.change(\.prefill, "2214592512", "536870912")
        },
        .decode(.pdAllocationTimeout, "pd_allocation_timeout_sec: 10", ""),
        .decode(.pdAllocationTimeout, "pd_allocation_timeout_sec: 10", "pd_allocation_timeout_sec: .inf"),
        Mistake(.modelShape) {
            $0.change(\.prefillCommand, "meta-llama/Llama-3.1-8B-Instruct", "someone/unknown")
            $0.change(\.decodeCommand, "meta-llama/Llama-3.1-8B-Instruct", "someone/unknown")
        },
        .prefill(.tiersNeedCPU, "", "remote_url: redis://cache:6379"),
        Mistake(.tiersVersion) {
            $0.version = LMCacheVersion(0, 4, 1)
            $0.change(\.prefill, "", "remote_url: redis://cache:6379")
        },
        .decode(.tiersConsumer, "", "save_decode_cache: true"),
        .decode(.controllerIncomplete, "", "enable_controller: true"),
        .decode(.nixlStorage, "", "extra_config: {enable_nixl_storage: true}"),
        .decode(.chunkSize, "chunk_size: 256", "chunk_size: 128"),
        .decode(.hashAlgorithm, "", "pre_caching_hash_algorithm: sha256"),
        .decodeArgs(.hashSeed, "PYTHONHASHSEED=0", "PYTHONHASHSEED=00"),
        .decodeArgs(.hashSeed, "PYTHONHASHSEED=0 ", ""),
        .decodeArgs(.modelDiffers, "8B-Instruct ", "8B-Instruct/ "),
        .prefillArgs(.modelAtSign, "8B-Instruct ", "8B-Instruct@main "),
        .decodeArgs(.kvType, "--port 8200", "--port 8200 --kv-cache-dtype fp8"),
        .decodeArgs(.speculation, "--port 8200", "--port 8200 --speculative-config '{\"method\":\"mtp\"}'"),
        .decodeArgs(.parallelism, "--port 8200", "--port 8200 --tensor-parallel-size 2"),
        .prefill(.notifyAddress, "7500", "8500"),
        .prefill(.notifyIPv6, "localhost", "\"::1\""),
        Mistake(.loopback) {
            $0.change(\.proxyCommand, "--decoder-host 127.0.0.1", "--decoder-host 10.0.0.2")
        },
        .proxy(.decoderPorts, "7300", "7301"),
        .proxy(
            .decoderPortsOverlap, "7300 --decoder-alloc-port 7400",
            "7300,7301 --decoder-alloc-port 7400,7401 --num-decoders 2"),
        Mistake(.decoderPortsOverlap) { $0.secondDecode = $0.decode },
        .decode(.portClash, "[7400]", "[7300]"),
        .decodeArgs(.portClash, "--port 8200", "--port 7300"),
        Mistake(.notificationCount) {
            $0.change(\.proxyCommand, "disagg-proxy", "disagg_proxy_server.py")
            $0.change(\.proxyCommand, "7300 --decoder-alloc-port 7400", "7300,7310 --decoder-alloc-port 7400,7410")
        },
        .proxy(.exampleProxy, "disagg-proxy", "python disagg_proxy_server.py"),
        Mistake(.proxyChunkSize) {
            $0.change(\.proxyCommand, "disagg-proxy", "disagg_proxy_server.py --chunk-size 512")
        },
        .decodeArgs(.kvConnector, "LMCacheConnectorV1", "NixlConnector"),
        .decodeArgs(.kvRole, "kv_consumer", "kv_both"),
        .decodeArgs(.kvTransferKeys, #""kv_role""#, #""kv_rank":0,"kv_role""#),
        .decodeArgs(.kvTransferKeys, #"{"kv_connector""#, #"{"kv_connector"#),
        .decodeArgs(.prefixCaching, "--no-enable-prefix-caching", ""),
        .decodeArgs(.partialChunks, #""discard_partial_chunks":false,"#, ""),
        .decodeArgs(.skipLastTokens, #""skip_last_n_tokens":0"#, #""skip_last_n_tokens":1"#),
        .proxy(.skipLastTokens, "--first-token decode", "--first-token prefill"),
        .decodeArgs(.rpcPort, "consumer1", "producer1"),
        .decodeArgs(.dataParallel, "--port 8200", "--port 8200 --data-parallel-size 2"),
        .decodeArgs(.attentionHeads, "--port 8200", "--port 8200 --tensor-parallel-size 3"),
        .decodeArgs(.ucxTransports, "cuda_ipc,cuda_copy,tcp", "tcp"),
        .decodeArgs(.workerStart, "spawn", "fork"),
        .decodeArgs(.removedVariable, "PYTHONHASHSEED=0", "PYTHONHASHSEED=0 VLLM_NIXL_ABORT_REQUEST_TIMEOUT=30"),
        .prefillArgs(.prefillExposed, "127.0.0.1", "0.0.0.0"),
        Mistake(.versionSharedPrefix) { $0.version = LMCacheVersion(0, 4, 6) },
        Mistake(.versionOversized) { $0.version = LMCacheVersion(0, 5, 1) },
        Mistake(.versionPartialDeadlock) {
            $0.change(\.prefill, "async", "sync")
            $0.change(\.decode, "async", "sync")
        },
    ]

    @Test("files and command lines that fit together are found fine")
    func fine() {
        #expect(CheckScene().findings == [])
    }

    @Test("each mistake is found under its own name", arguments: mistakes)
    func mistake(_ mistake: Mistake) {
        var scene = CheckScene()
        mistake.part(&scene)
        #expect(scene.found.contains(mistake.id), "found \(scene.findings)")
    }

    @Test("a mistake brings few other findings with it", arguments: mistakes)
    func noise(_ mistake: Mistake) {
        var scene = CheckScene()
        mistake.part(&scene)
        #expect(scene.found.count <= 5, "\(scene.findings.map { "\($0.check.rawValue): \($0.message)" })")
    }

    @Test("latent attention needs one notification and lossless storage")
    func latent() {
        var scene = CheckScene()
        for part in [\CheckScene.prefillCommand, \.decodeCommand] {
            scene.change(part, "meta-llama/Llama-3.1-8B-Instruct", "deepseek-ai/DeepSeek-V3 -tp 2")
        }
        scene.change(\.decode, "[7300]", "[7300, 7310]")
        scene.change(\.decode, "[7400]", "[7400, 7410]")
        scene.change(\.proxyCommand, "7300 --decoder-alloc-port 7400", "7300,7310 --decoder-alloc-port 7400,7410")
        #expect(scene.found == [])
        scene.change(\.prefill, "local_cpu: false\nmax_local_cpu_size: 0", "local_cpu: true\nmax_local_cpu_size: 5")
        scene.change(\.prefill, "", "remote_url: redis://cache:6379\nremote_serde: cachegen")
        #expect(scene.found == [.mlaSerde])
        scene.change(\.proxyCommand, "disagg-proxy", "disagg_proxy_server.py")
        #expect(scene.found.contains(.notificationCount))
    }

    @Test("versions 0.3.0 to 0.3.2 allow no other storage, and other versions other keys")
    func legacy() {
        var scene = CheckScene()
        scene.version = LMCacheVersion(0, 3, 2)
        let keys = """
            enable_nixl: true
            nixl_role: sender
            nixl_receiver_host: localhost
            nixl_receiver_port: 55555
            nixl_buffer_size: 4294967296
            nixl_buffer_device: cuda
            nixl_enable_gc: true
            """
        scene.prefill = "local_cpu: false\nmax_local_cpu_size: 0\n\(keys)"
        scene.decode = scene.prefill
        scene.change(\.decode, "sender", "receiver")
        scene.proxyCommand = "disagg-proxy --first-token decode"
        #expect(scene.found == [])
        scene.change(\.prefill, "local_cpu: false", "local_cpu: true")
        #expect(scene.found == [.legacyStorage])
        scene.version = .newestKnown
        #expect(scene.found.contains(.lmcacheDeadKey) && scene.found.contains(.pdOff))
    }

    @Test("findings say where: file, line and column")
    func places() throws {
        var scene = CheckScene()
        scene.change(\.decode, "chunk_size: 256", "chunk_size: 128")
        let finding = try #require(scene.findings.first { $0.check == .chunkSize })
        #expect(finding.place == "D.yaml:1:1")
        #expect(finding.message == "chunk_size is 128 here and 256 in P.yaml")
    }

    @Test("a generated deployment passes every rule", arguments: Preset.all.map(\.name))
    func generated(preset: String) throws {
        let deployment = try Deployment(yaml: try #require(Preset.named(preset)).yaml)
        let places = CommandPlaces(directory: "/run/d", launcher: "l", proxy: "p")
        #expect(CheckRequest.findings(deployment, places: places, facts: nil) == [])
    }

    @Test(
        "a deployment's own arguments and variables are looked at, since they win",
        arguments: [
            ("decode: {extraArgs: ['--enable-prefix-caching']}", CheckID.prefixCaching),
            ("decode: {env: {PYTHONHASHSEED: '1'}}", .hashSeed),
            ("prefill: {extraArgs: ['--model', other/model]}", .modelDiffers),
            ("decode: {extraArgs: ['--kv-cache-dtype', fp8]}", .kvType),
            ("prefill: {host: 0.0.0.0}", .prefillExposed),
            ("prefill: {env: {LMCACHE_FORCE_SKIP_SAVE: '0'}}", .lmcacheForceSkipSave),
            ("lmcache: {version: 0.4.6}", .versionSharedPrefix),
            ("handoff: plain", .decodeBeforeKV),
            ("prefill: {urls: ['10.0.0.2:8100']}", .loopback),
            ("decode: {urls: ['10.0.0.2:8200'], receiverPorts: [{init: [7300], alloc: [7400]}]}", .restartCoupling),
            ("model: someone/unknown", .modelShape),
        ])
    func deployment(yaml: String, id: CheckID) throws {
        let deployment = try Deployment(yaml: yaml)
        let places = CommandPlaces(directory: "/run/d", launcher: "l", proxy: "p")
        let found = CheckRequest.findings(deployment, places: places, facts: nil)
        #expect(found.contains { $0.check == id }, "\(found)")
    }
}
