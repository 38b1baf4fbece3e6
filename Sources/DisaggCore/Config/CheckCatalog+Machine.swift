extension CheckCatalog {
    static let machine = [
        Check(
            .portTaken, .error, "Every port of the deployment is free.",
            why: "The engine fails after minutes of loading.",
            fix: "Stop the process that is named, or use --port-offset.", source: "961, 1166, 805"),
        Check(
            .programMissing, .error, "The engine's program is on the PATH, and disagg-proxy beside disagg-launch.",
            why: "Nothing can be started.", fix: "Activate the Python environment in which it is installed.",
            source: "–"),
        Check(
            .packageMissing, .error, "The hand-off's Python packages are installed beside the engine.",
            why: "LMCache without NIXL starts in degraded mode.", fix: "pip install lmcache nixl", source: "605, 3367"),
        Check(
            .gpuMissing, .error, "Every GPU that an engine is given exists.", why: "vLLM does not start.",
            fix: "Set gpus, or fewer replicas.", source: "–"),
        Check(
            .gpuShared, .error, "No GPU is given to two engines.", why: "The second runs out of memory.",
            fix: "Set gpus so that they differ, or --gpu-memory-utilization so that both fit.", source: "–"),
        Check(
            .gpuBusy, .warning, "GPUs are free before the start.",
            why: "vLLM takes a share of the whole GPU and fails where another process holds memory.",
            fix: "Stop the other process (nvidia-smi shows it).", source: "–"),
        Check(
            .gpuMemory, .error, "Weights, one request's KV cache, the PD buffer and overhead fit into each GPU.",
            why:
                "Out of memory while loading, or \"No available memory for the cache blocks\". The PD buffer is allocated "
                + "beside vLLM's share.",
            fix: "More GPUs for each engine, a shorter --max-model-len, smaller buffers, or a smaller model.",
            source: "vllm gpu_worker.py; LMCache's example logs"),
        Check(
            .gpuRoom, .warning, "vLLM's share of a GPU and the PD buffer fit beside each other.",
            why: "The buffer lies outside of the share where it is allocated after the KV cache: out of memory.",
            fix: "--gpu-memory-utilization 0.85 in extraArgs, or smaller buffers.", source: "LMCache's example logs"),
        Check(
            .gpuLink, .warning, "GPUs that exchange KV or work in one engine are joined by NVLink or share PCIe peers.",
            why: "Without peer access cuda_ipc is not available: KV goes through host memory.",
            fix: "Choose other GPUs (nvidia-smi topo -m).", source: "605, nixl#503"),
        Check(
            .driver, .error, "The driver supports the CUDA version that PyTorch was built for.",
            why: "CUDA initialisation fails.", fix: "Update the driver, or install wheels for an older CUDA.",
            source: "–"),
        Check(
            .nixlCUDA, .error, "The nixl package is built for the same CUDA major version as PyTorch.",
            why: "NIXL_ERR_BACKEND, \"memory detected as host\": UCX was built for another CUDA.",
            fix: "nixl-cu12 for CUDA 12, nixl-cu13 for CUDA 13, and the meta package nixl.",
            source: "605, 725, 3367, vllm#41048"),
        Check(
            .gatedModel, .error, "A gated model has a token or is downloaded already.",
            why: "401 or 403 from the hub after the start.",
            fix: "Accept the licence on the model's page and export HF_TOKEN.", source: "–"),
        Check(
            .weightsDisk, .error, "The cache's disk has room for the weights.", why: "The download fails near its end.",
            fix: "Make room, or set HF_HOME to another disk.", source: "–"),
        Check(
            .modelFiles, .error, "A model given as a folder has config.json and weights.", why: "vLLM does not start.",
            fix: "Correct the path; on several machines it must be the same.", source: "–"),
        Check(
            .openFiles, .warning, "The limit of open files is 4096 or more.",
            why: "Every stream is two sockets at the proxy and one at each engine.", fix: "ulimit -n 65536", source: "–"
        ),
        Check(
            .lockedMemory, .warning, "The limit of locked memory is high where pinned buffers or RDMA are used.",
            why: "Registering memory fails.", fix: "ulimit -l unlimited", source: "UCX"),
        Check(
            .sharedMemory, .error, "/dev/shm has 1 GiB or more for engines with several ranks.",
            why: "A container's default of 64 MB ends in bus errors while ranks exchange data.",
            fix: "docker run --ipc=host, or --shm-size=16g", source: "vllm documentation"),
        Check(
            .hostMemory, .error, "Host memory holds the pinned tiers and buffers of all ranks.",
            why: "The system kills an engine.", fix: "Lower lmcache.cpuTier.", source: "–"),
        Check(
            .temporaryPath, .error, "TMPDIR is short.",
            why: "Local sockets have at most 107 bytes of path: \"IPC path too long\".", fix: "export TMPDIR=/tmp",
            source: "3529"),
        Check(
            .hostName, .error, "Every host name has an IPv4 address.",
            why: "LMCache's sockets speak IPv4 only and report nothing.",
            fix: "Use addresses, or correct the name service.",
            source: "1992, 725"),
    ]

    static let running = [
        Check(
            .engineUnreachable, .error, "Every engine answers GET /health with 200.", why: "It is not up, or dead.",
            fix: "Look into its log.", source: "–"),
        Check(
            .engineVersion, .error, "Prefill and decode engines report the same version.",
            why: "NIXL's handshake refuses other builds, and KV layouts change between versions.",
            fix: "Install the same version.", source: "vllm nixl/metadata.py"),
        Check(
            .servedModel, .error, "Every engine serves the model of the deployment, by the same text.",
            why: "Requests are refused, or keys never match.", fix: "Start all engines with the same text.",
            source: "utils.py, CacheEngineKey"),
        Check(
            .pdDegraded, .error, "No engine is in degraded mode.",
            why: "Health checks and requests work, and no KV is ever sent.",
            fix: "The lines before \"degraded mode\" in its log have the cause; most are rows of this table.",
            source: "2854"),
        Check(
            .pdNotBound, .error, "A decode engine's log shows that every rank has bound its ports.",
            why: "Two receivers on one port both come up; only these lines prove a bind.",
            fix: "Look for the port's other user; restart the engine.", source: "pd_backend_async.py"),
        Check(
            .runningSeed, .error, "Every engine process on this machine has the same PYTHONHASHSEED.",
            why: "See hash-seed.", fix: "Restart it with PYTHONHASHSEED=0.", source: "1133"),
        Check(
            .logProblem, .warning, "The log has no line that is known to mean trouble.",
            why: "The engine goes on after it and fails later, often with another message.",
            fix: "The finding says what the line means and what to do.", source: "field reports"),
        Check(
            .proxyNotListening, .error, "The proxy takes notifications.", why: "Every hand-off waits for its deadline.",
            fix: "Look into the proxy's log.", source: "pd_backend.py"),
    ]
}
