import Testing

@testable import DisaggCore

@Suite("Reading LMCache files")
struct LMCacheDocumentTests {
    @Test(
        "unquoted scalars mean what YAML 1.1 says",
        arguments: [
            ("yes", YAML11Scalar.bool(true)), ("Off", .bool(false)), ("y", .text("y")), ("0777", .integer(511)),
            ("08", .text("08")), ("1e9", .text("1e9")), ("1.0e+9", .number(1e9)), ("1.e9", .text("1.e9")),
            ("0x1F", .integer(31)), ("0b101", .integer(5)), ("1_000", .integer(1000)), ("-5", .integer(-5)),
            ("1:30", .integer(90)), ("1:60", .text("1:60")), (".inf", .number(.infinity)),
            ("-.INF", .number(-.infinity)),
            (".5", .number(0.5)), ("5.", .number(5)), ("~", .null), ("", .null), ("null", .null), ("nil", .text("nil")),
            ("99999999999999999999", .text("99999999999999999999")),
        ])
    func scalars(text: String, expected: YAML11Scalar) {
        #expect(YAML11Scalar(text, plain: true) == expected)
        #expect(YAML11Scalar(text, plain: false) == .text(text))
    }

    private func document(_ yaml: String, _ version: LMCacheVersion = .newestKnown) throws -> LMCacheDocument {
        try LMCacheDocument(yaml: yaml, fileName: "f.yaml", version: version)
    }

    @Test("values are converted as LMCache converts them")
    func conversion() throws {
        let file = try document(
            """
            chunk_size: "256"
            local_cpu: 1
            save_unfull_chunk: "True"
            max_local_cpu_size: 5
            pd_peer_init_port: 7300
            pd_peer_alloc_port: "7400, 7401"
            nixl_backends: UCX,GDS
            extra_config: '{"enable_nixl_storage": true, "nixl_pool_size": 4}'
            pd_proxy_port:
            """)
        #expect(file.integer("chunk_size") == 256)
        #expect(file.bool("local_cpu") && file.bool("save_unfull_chunk"))
        #expect(file.number("max_local_cpu_size") == 5)
        #expect(file.integers("pd_peer_init_port") == [7300] && file.integers("pd_peer_alloc_port") == [7400, 7401])
        #expect(file.texts("nixl_backends") == ["UCX", "GDS"])
        #expect(file.extra("enable_nixl_storage") == .bool(true) && file.extra("nixl_pool_size") == .integer(4))
        #expect(!file.has("pd_proxy_port") && file.notes == [])
    }

    @Test("the environment wins, unless it cannot be converted")
    func environment() throws {
        var file = try document("chunk_size: 256\npd_proxy_port: 7500")
        file.apply(
            environment: ["LMCACHE_CHUNK_SIZE": "128", "LMCACHE_PD_PROXY_PORT": "x", "LMCACHE_LOCAL_CPU": "false"],
            version: .newestKnown)
        #expect(file.integer("chunk_size") == 128 && file.integer("pd_proxy_port") == 7500)
        #expect(!file.bool("local_cpu", default: true))
        #expect(file.notes.map(\.check) == [.lmcacheEnvironment, .lmcacheEnvironment, .lmcacheValueType])
    }

    @Test(
        "a file of another kind, or none, is refused with its place",
        arguments: ["- a", "just text", "a: [", "a: 1\na: 2"])
    func refused(yaml: String) {
        #expect(throws: YAMLError.self) { try document(yaml) }
    }

    @Test("an empty file has every default")
    func empty() throws {
        #expect(try document("").values.isEmpty)
        #expect(try document("# nothing").notes == [])
    }

    @Test("keys have the versions in which they were read")
    func keys() throws {
        #expect(LMCacheKeys.all.count > 100)
        let generationA = try document("enable_nixl: true\nnixl_receiver_port: 55555", LMCacheVersion(0, 3, 2))
        #expect(generationA.notes == [] && generationA.integer("nixl_receiver_port") == 55555)
        let notes = try document("nixl_role: sender", LMCacheVersion(0, 5, 6)).notes
        #expect(notes.map(\.check) == [.lmcacheDeadKey] && notes[0].message.contains("pd_role"))
        #expect(
            try document("pd_max_prefill_len: 5", LMCacheVersion(0, 4, 4)).notes.map(\.check) == [
                .lmcacheOtherVersionKey
            ])
        #expect(try document("max_local_cpu_sise: 5").notes[0].message.contains("max_local_cpu_size"))
    }

    @Test("a command line is split as a shell splits it")
    func shell() throws {
        #expect(ShellWords.split(#"a 'b c' "d \"e\"" f\ g"#) == ["a", "b c", #"d "e""#, "f g"])
        #expect(ShellWords.split("a 'b") == nil && ShellWords.split("  ") == [])
        let (environment, words) = try #require(ShellWords.command("A=1 env B='x y' vllm serve m --x=1"))
        #expect(environment == ["A": "1", "B": "x y"] && words == ["vllm", "serve", "m", "--x=1"])
    }

    @Test("engine options are found in all their spellings")
    func options() {
        let arguments = EngineArguments(
            [
                "vllm", "serve", "m", "--max_model_len", "16K", "--enable-prefix-caching", "--no-enable-prefix-caching",
                "-tp", "2",
                "--gpu-memory-utilization=0.8",
            ])
        #expect(arguments.model == "m")
        #expect(arguments.integer("max-model-len") == 16384)
        #expect(arguments.isOn("enable-prefix-caching") == false)
        #expect(arguments.integer("tensor-parallel-size", "tp") == 2)
        #expect(arguments.number("gpu-memory-utilization") == 0.8)
        #expect(EngineArguments(["--disable-prefix-caching"]).isOn("enable-prefix-caching") == false)
        #expect(EngineArguments(["--x", "9e99k"]).integer("x") == nil)
    }
}
