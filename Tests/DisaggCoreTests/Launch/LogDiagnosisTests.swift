import Glibc
import Testing

@testable import DisaggCore

@Suite("Reading engines' logs")
struct LogDiagnosisTests {
    @Test(
        "a known error line is told apart from the others",
        arguments: [
            ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "gpu-memory"),
            (
                "ValueError: Free memory on device cuda:0 (3.2/79.1 GiB) on startup is less than desired GPU memory utilization (0.9)",
                "gpu-memory-taken"
            ),
            (
                "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
                "kv-memory"
            ),
            (
                "ValueError: To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is needed, which is larger than the available KV cache memory (3.1 GiB).",
                "kv-memory"
            ),
            (
                "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8100): address already in use",
                "port-taken"
            ),
            ("zmq.error.ZMQError: Cannot assign requested address (addr='tcp://10.9.9.9:7300')", "address"),
            ("RuntimeError: NIXL is not available", "nixl-missing"),
            ("ModuleNotFoundError: No module named 'nixl._api'", "nixl-missing"),
            ("nixl._bindings.nixlBackendError: NIXL_ERR_BACKEND", "nixl-backend"),
            ("ModuleNotFoundError: No module named 'lmcache'", "lmcache-missing"),
            ("ModuleNotFoundError: No module named 'numpy'", "module-missing"),
            ("RuntimeError: The NVIDIA driver on your system is too old (found version 12020).", "cuda-version"),
            ("ImportError: /x/_C.abi3.so: undefined symbol: _ZN3c10", "broken-install"),
            ("vllm: error: unrecognized arguments: --disable-log-requests", "arguments"),
            ("huggingface_hub.errors.GatedRepoError: 401 Client Error.", "gated-model"),
            (
                "OSError: foo/bar is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
                "model-not-found"
            ),
            ("OSError: We couldn't connect to 'https://huggingface.co' to load the files", "no-network"),
            (
                "ValueError: Total number of attention heads (32) must be divisible by tensor parallel size (3).",
                "parallel-size"
            ),
            ("RuntimeError: No CUDA GPUs are available", "no-gpu"),
            ("RuntimeError: NCCL error: unhandled system error", "nccl"),
            ("OSError: [Errno 24] Too many open files", "open-files"),
            ("OSError: [Errno 28] No space left on device: '/dev/shm/psm_1'", "shared-memory"),
            ("OSError: [Errno 28] No space left on device", "disk-full"),
            ("LMCache WARNING: System will operate in degraded mode (recompute)", "degraded"),
            ("ValueError: PD buffer too small: 1073741824 bytes", "pd-buffer"),
            ("AttributeError: 'NoneType' object has no attribute 'receiver_init_port'", "plain-prefill"),
            ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", "engine-dead"),
        ])
    func known(line: String, id: String) {
        #expect(LogDiagnosis.find(in: ["INFO fine", line, "INFO fine"])?.cause.id == id)
    }

    @Test("ids are unique, and every cause says what it means and what to do")
    func table() {
        let all = FailureCause.all
        #expect(Set(all.map(\.id)).count == all.count)
        for cause in all {
            #expect(!cause.explanation.isEmpty && !cause.fix.isEmpty && !cause.patterns.isEmpty)
            #expect(cause.patterns.allSatisfy { !$0.isEmpty && $0.allSatisfy { $0 == $0.lowercased() } }, "\(cause.id)")
        }
    }

    @Test("of a whole failure the root is shown, not what it brought with it")
    func root() {
        let lines = [
            "INFO loading", "(EngineCore pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate",
            "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.",
            "EngineDeadError",
        ]
        let finding = LogDiagnosis.find(in: lines)
        #expect(finding?.cause.id == "gpu-memory" && finding?.line == lines[1])
        #expect(LogDiagnosis.find(in: ["INFO all is well"]) == nil)
    }

    @Test("only what was written since the last start is read")
    func lastStart() throws {
        let scene = try LaunchScene()
        let path = scene.directory + "/a.log"
        for line in [
            "\(LogTail.startMark)start 1", "CUDA out of memory", "\(LogTail.startMark)start 2",
            "\u{1B}[31mfine\u{1B}[0m",
        ] {
            try RunDirectory.append(line, to: path)
        }
        #expect(LogTail.lines(of: path, count: 9) == ["fine"])
    }

    @Test("a bind is proven by one line of each kind for each rank")
    func evidence() {
        let bind = (7400...7401).map {
            "(Worker) LMCache INFO: Async mem alloc server listening on port \($0) (x.py:1)"
        }
        let loops = ["INFO: Starting async initialization loop", "INFO: Starting async initialization loop"]
        let evidence = PDEvidence(allocPorts: [7400, 7401])
        #expect(evidence.judge(bind + loops) == .proven)
        #expect(
            evidence.judge([bind[0]] + loops) == .missing(["Async mem alloc server listening on port 7401"]))
        #expect(evidence.judge(bind + [loops[0]]) == .missing(["Starting async initialization loop (1 of 2 ranks)"]))
        #expect(PDEvidence(allocPorts: []).judge([]) == .proven)
        let line = "System will operate in degraded mode"
        #expect(PDEvidence(allocPorts: []).judge([line]) == .degraded(line))
    }

    @Test("a log is followed across a rotation, in whole lines")
    func follower() throws {
        let scene = try LaunchScene()
        let path = scene.directory + "/a.log"
        for number in 1...5 { try RunDirectory.append("line \(number)", to: path) }
        var follower = LogFollower(path)
        #expect(follower.last(2) == ["line 4", "line 5"])
        #expect(follower.next() == [])
        try RunDirectory.append("6 %\r50 %\rdone", to: path)
        #expect(follower.next() == ["done"])
        var rotation = LogRotation()
        rotation.maximumBytes = 1
        #expect(rotation.check(path))
        try RunDirectory.append("a", to: path)
        #expect(follower.next() == ["a"])
    }
}
