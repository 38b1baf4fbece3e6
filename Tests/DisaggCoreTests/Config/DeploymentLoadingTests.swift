import Testing

@testable import DisaggCore

@Suite("Deployment file")
struct DeploymentLoadingTests {
    private func problems(_ yaml: String) -> [String] {
        do throws(DeploymentError) {
            _ = try Deployment(yaml: yaml, fileName: "disagg.yaml")
            return []
        } catch {
            return error.description.split(separator: "\n").map(String.init)
        }
    }

    @Test("an empty file is the default deployment", arguments: ["", "{}", "prefill:\n"])
    func empty(yaml: String) throws {
        #expect(try Deployment(yaml: yaml) == Deployment())
    }

    @Test("every field arrives where it belongs")
    func everyField() throws {
        let deployment = try Deployment(yaml: Self.everything)
        #expect(deployment == Self.full)
    }

    @Test("a written deployment loads back equal")
    func roundTrip() throws {
        let remote = try Deployment(yaml: "decode: {urls: [a:1, b:1]}\nprefill: {urls: [a:2, b:2], replicas: 2}")
        for deployment in [Deployment(), Self.full, remote] {
            #expect(try Deployment(yaml: DeploymentWriter.yaml(deployment)) == deployment)
        }
        var hostile = Deployment()
        hostile.model = "a: b # \"c\" 'd' \\ \u{85}\u{2028}\u{FEFF}é😀\n- e"
        hostile.handoff = .none
        hostile.prefill.extraArguments = ["", " ", "null", "0777", "{\"a\": [1]}", "--x=*y", "\u{1}\u{7F}"]
        hostile.decode.environment = ["A": "", "B-c.d": "yes", "0": "1", "true": "%"]
        hostile.decode.urls = [Endpoint(host: "::1", port: 8200), Endpoint(host: "gpu-2", port: 1)]
        hostile.decode.replicas = 2
        hostile.proxy.listen = Endpoint(host: "::", port: 0)
        #expect(try Deployment(yaml: DeploymentWriter.yaml(hostile)) == hostile)
    }

    @Test(
        "presets load, and are what they are called",
        arguments: [("1p1d", 1, 1), ("xp1d", 2, 1), ("xpyd", 2, 2)])
    func presets(name: String, prefill: Int, decode: Int) throws {
        let preset = try #require(Preset.named(name.uppercased()))
        let deployment = try Deployment(yaml: preset.yaml, fileName: name)
        var expected = Deployment()
        expected.prefill.replicas = prefill
        expected.decode.replicas = decode
        #expect(deployment == expected)
        #expect(preset.yaml.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }

    @Test(
        "a wrong field is named with file, line, column, what was expected and what was found",
        arguments: [
            (
                "model: m\nprefill:\n  port: 81OO\n",
                "disagg.yaml:3:9: prefill.port: expected 1...65535, got \"81OO\""
            ),
            (
                "prefill:\n  tensorParalel: 2\n",
                "disagg.yaml:2:3: prefill.tensorParalel: unknown key, did you mean \"tensorParallel\"?"
            ),
            (
                "handof: nixl\n", "disagg.yaml:1:1: handof: unknown key, did you mean \"handoff\"?"
            ),
            (
                "handoff: nixel\n",
                "disagg.yaml:1:10: handoff: expected lmcache, lmcache-legacy, lmcache-mp, nixl, nixl-push, mooncake, "
                    + "moriio, p2p-nccl, offload-p2p, sglang, trtllm, llm-d, plain, none, got \"nixel\", did you mean \"nixl\"?"
            ),
            ("decode: {replicas: 0}\n", "disagg.yaml:1:20: decode.replicas: expected 1...1024, got \"0\""),
            ("decode: [1]\n", "disagg.yaml:1:9: decode: expected a mapping, got a list"),
            (
                "proxy:\n  drainTimeout: 30\n",
                "disagg.yaml:2:17: proxy.drainTimeout: expected a time such as 30s or 500ms, got \"30\""
            ),
            (
                "proxy: {listen: 9000}\n",
                "disagg.yaml:1:17: proxy.listen: expected host:port with a port in 0...65535, got \"9000\""
            ),
            ("prefill: {gpus: [0, x]}\n", "disagg.yaml:1:21: prefill.gpus[1]: expected 0...1023, got \"x\""),
            (
                "lmcache: {storesOnFirstRankOnly: yes}\n",
                "disagg.yaml:1:34: lmcache.storesOnFirstRankOnly: expected true or false, got \"yes\""
            ),
            ("model: a\nmodel: b\n", "disagg.yaml:2:1: duplicate key \"model\", first given at 1:1"),
            ("prefill: {port: \"8100\"}\n", "disagg.yaml:1:17: prefill.port: expected 1...65535, got \"8100\""),
        ])
    func wrongField(yaml: String, expected: String) {
        #expect(problems(yaml).contains(expected))
    }

    @Test(
        "contradictions are errors at the field that makes them",
        arguments: [
            (
                "prefill: {replicas: 2}\ndecode:\n  port: 8101\n",
                "disagg.yaml:3:9: decode.port: port 8101 is wanted twice: decode-0 (HTTP) and prefill-1 (HTTP, prefill.port)"
            ),
            (
                "decode:\n  initPort: 7400\n",
                "decode-0 (PD init, decode.initPort)"
            ),
            ("proxy:\n  notify: localhost:7300\n", "decode-0 (PD init) and proxy (notifications, proxy.notify)"),
            ("proxy:\n  listen: 0.0.0.0:8200\n", "decode-0 (HTTP) and proxy (HTTP, proxy.listen)"),
            (
                "decode:\n  tensorParallel: 2\n",
                "disagg.yaml:2:19: decode.tensorParallel: the lmcache hand-off needs the same tensorParallel on both sides, "
                    + "got prefill 1 and decode 2"
            ),
            (
                "handoff: nixl\nprefill: {sideChannelPort: 5600, tensorParallel: 2}\ndecode: {sideChannelPort: 5601}\n",
                "port 5601 is wanted twice: decode-0 (NIXL side channel) and prefill-0 (NIXL side channel, rank 1"
            ),
            ("decode: {port: 65535, replicas: 2}\n", "the HTTP port of decode-1 would be 65536, above 65535"),
            (
                "decode: {receiverPorts: [{init: [7300, 7301], alloc: [7400]}]}\n",
                "decode.receiverPorts[0].init: expected 1 ports, one for each rank, got 2"
            ),
            (
                "decode: {replicas: 2, receiverPorts: [{init: [7300], alloc: [7400]}]}\n",
                "decode.receiverPorts: expected 2 entries, one for each engine, got 1"
            ),
            ("prefill: {gpus: [0, 1, 2]}\n", "expected 1 GPUs (1 engines of 1 ranks), got 3"),
            (
                "lmcache: {decodeBufferBytes: 16MiB}\n",
                "expected at least one chunk of 256 tokens, 32MiB for this model"
            ),
            ("model: a@b\n", "expected no \"@\" in the name"),
            ("prefill: {replicas: 1024, tensorParallel: 128, pipelineParallel: 128}\n", "expected at most 4096 ranks"),
        ])
    func contradiction(yaml: String, expected: String) {
        #expect(problems(yaml).contains { $0.contains(expected) }, "\(problems(yaml))")
    }

    @Test("the same ports on different hosts do not clash")
    func differentHosts() {
        #expect(
            problems(
                """
                decode:
                  urls: [gpu-1:8200, gpu-2:8200]
                  receiverPorts: [{init: [7300], alloc: [7400]}, {init: [7301], alloc: [7401]}]
                """
            ).isEmpty)
    }

    @Test("all mistakes are shown at once, in the file's order, at most twenty")
    func manyProblems() {
        let yaml = "prefill:\n" + (0..<30).map { "  wrong\($0): 1\n" }.joined() + "decode: {port: x}\n"
        let found = problems(yaml)
        #expect(found.count == DeploymentError.maximumProblems)
        #expect(found.first?.hasPrefix("disagg.yaml:2:3:") == true)
        #expect(problems("decode: {port: x, host: [], gpus: 3}\n").count == 3)
    }

    @Test("an unreadable file is an error that says why")
    func unreadable() {
        do throws(DeploymentError) {
            _ = try Deployment(contentsOf: "/nonexistent/disagg.yaml")
            Issue.record("expected an error")
        } catch {
            #expect(error.description == "/nonexistent/disagg.yaml: cannot be read: No such file or directory")
        }
    }

    @Test("a latent-attention model stores on one rank unless the file says otherwise")
    func latentModel() throws {
        #expect(try Deployment(yaml: "model: deepseek-ai/DeepSeek-V3").lmcache.storesOnFirstRankOnly)
        #expect(
            try !Deployment(yaml: "model: deepseek-ai/DeepSeek-V3\nlmcache: {storesOnFirstRankOnly: false}")
                .lmcache.storesOnFirstRankOnly)
    }

    static let everything = """
        model: Qwen/Qwen3-8B
        handoff: lmcache
        firstToken: prefill
        engine: simulated
        vllmVersion: 0.24.0
        prefill:
          replicas: 2
          tensorParallel: 2
          pipelineParallel: 1
          host: localhost
          port: 8110
          receiverHost: 10.0.0.1
          sideChannelPort: 5700
          gpus: [3, 2, 1, 0]
          cpuBinding: false
          extraArgs: ["--max-model-len", "32768"]
          env: {NCCL_DEBUG: INFO, N: 1}
        decode:
          tensorParallel: 2
          port: 8210
          initPort: 7310
          allocPort: 7410
          receiverPorts:
            - init: [7320, 7321]
              alloc: [7420, 7421]
        proxy:
          listen: "[::1]:9100"
          notify: 127.0.0.1:7510
          threads: 3
          maxBody: 1MiB
          maxHead: 16KiB
          requestReadTimeout: 1s
          connectTimeout: 2s
          prefillTimeout: 3s
          notificationTimeout: 4s
          decodeIdleTimeout: 5s
          drainTimeout: 0s
        lmcache:
          chunkSize: 128
          prefillBufferBytes: 1GiB
          decodeBufferBytes: 3221225472
          version: "0.5.1"
          backend: sync
          bufferDevice: cpu
          maxPrefillTokens: 4096
          concurrency: 5
          allocationTimeout: 2500ms
          hashAlgorithm: sha256_cbor
          storesOnFirstRankOnly: true
          cpuTier: 8GiB
          diskTierPath: /mnt/kv
          diskTier: 100GB
          remoteStore: redis://cache:6379
          server: 10.0.0.9:5556
        simulator: {speed: 2.5}
        """

    static let full: Deployment = {
        var deployment = Deployment()
        deployment.model = "Qwen/Qwen3-8B"
        deployment.firstToken = .prefill
        deployment.engine = .simulated
        deployment.vllmVersion = LMCacheVersion(0, 24, 0)
        deployment.prefill.replicas = 2
        deployment.prefill.tensorParallel = 2
        deployment.prefill.host = "localhost"
        deployment.prefill.port = 8110
        deployment.prefill.receiverHost = "10.0.0.1"
        deployment.prefill.sideChannelPort = 5700
        deployment.prefill.gpus = [3, 2, 1, 0]
        deployment.prefill.bindsProcessors = false
        deployment.prefill.extraArguments = ["--max-model-len", "32768"]
        deployment.prefill.environment = ["NCCL_DEBUG": "INFO", "N": "1"]
        deployment.decode.tensorParallel = 2
        deployment.decode.port = 8210
        deployment.decode.initPort = 7310
        deployment.decode.allocPort = 7410
        deployment.decode.explicitReceiverPorts = [ReceiverPorts(initPorts: [7320, 7321], allocPorts: [7420, 7421])]
        deployment.proxy.listen = Endpoint(host: "::1", port: 9100)
        deployment.proxy.notify = Endpoint(host: "127.0.0.1", port: 7510)
        deployment.proxy.threads = 3
        deployment.proxy.maximumBodyBytes = 1 << 20
        deployment.proxy.maximumHeadBytes = 16 << 10
        deployment.proxy.requestReadTimeout = .seconds(1)
        deployment.proxy.connectTimeout = .seconds(2)
        deployment.proxy.prefillTimeout = .seconds(3)
        deployment.proxy.notificationTimeout = .seconds(4)
        deployment.proxy.decodeIdleTimeout = .seconds(5)
        deployment.proxy.drainTimeout = .zero
        deployment.lmcache.chunkSize = 128
        deployment.lmcache.prefillBufferBytes = 1 << 30
        deployment.lmcache.decodeBufferBytes = 3 << 30
        deployment.lmcache.version = LMCacheVersion(0, 5, 1)
        deployment.lmcache.backend = .sync
        deployment.lmcache.bufferDevice = .cpu
        deployment.lmcache.maximumPrefillTokens = 4096
        deployment.lmcache.concurrency = 5
        deployment.lmcache.allocationTimeout = .milliseconds(2500)
        deployment.lmcache.hashAlgorithm = "sha256_cbor"
        deployment.lmcache.storesOnFirstRankOnly = true
        deployment.lmcache.tiers.cpuBytes = 8 << 30
        deployment.lmcache.tiers.diskPath = "/mnt/kv"
        deployment.lmcache.tiers.diskBytes = 100_000_000_000
        deployment.lmcache.tiers.remoteURL = "redis://cache:6379"
        deployment.lmcache.server = Endpoint(host: "10.0.0.9", port: 5556)
        deployment.simulator.speed = 2.5
        return deployment
    }()
}
