extension FailureCause {
    /// All causes, the most telling first: where several lines of a log match, the first of this list is shown.
    ///
    /// Texts as vLLM 0.10 to 0.24, LMCache 0.3 to 0.5.6, PyTorch 2, NIXL 1 and huggingface_hub print them; what is not from
    /// a field report (numbers are LMCache issues) comes from their sources.
    package static let all: [FailureCause] = memory + ports + libraries + models + machine + handoff + general

    private static let memory = [
        FailureCause(
            "gpu-memory-taken", [["free memory on device", "less than desired gpu memory utilization"]],
            "another process holds memory of this GPU, so the share that vLLM reserves is not free",
            fix: "stop what runs on the GPU (nvidia-smi shows it), choose other GPUs with --gpus, or lower "
                + "--gpu-memory-utilization in extraArgs", isPermanent: false),
        FailureCause(
            "kv-memory",
            [
                ["no available memory for the cache blocks"], ["larger than the available kv cache memory"],
                ["kv cache is needed, which is larger than"],
                ["max seq len", "larger than the maximum number of tokens that can be stored in kv cache"],
            ],
            "the weights leave too little GPU memory for the KV cache of one request of the model's length",
            fix: "set --max-model-len lower or --gpu-memory-utilization higher in extraArgs, use more GPUs "
                + "(tensorParallel), or a smaller model"),
        FailureCause(
            "gpu-memory",
            [["cuda out of memory"], ["outofmemoryerror"], ["hip out of memory"], ["cuda error: out of memory"]],
            "the GPU's memory is full; LMCache's transfer buffer lies outside of vLLM's share and is allocated after it",
            fix: "leave room with --gpu-memory-utilization 0.85 in extraArgs, make lmcache.prefillBufferBytes and "
                + "decodeBufferBytes smaller, or give the engine a GPU of its own"),
        FailureCause(
            "shared-memory", [["/dev/shm", "no space left"], ["bus error"], ["unable to open shared memory object"]],
            "/dev/shm is full or too small: workers exchange data through it",
            fix: "start the container with --ipc=host or --shm-size=16g, and remove what earlier runs left in /dev/shm"),
        FailureCause(
            "disk-full", [["no space left on device"]], "a disk is full: weights, caches or logs have no room",
            fix: "make room, or move the cache with HF_HOME"),
    ]

    private static let ports = [
        FailureCause(
            "port-taken", [["address already in use"], ["errno 98"], ["eaddrinuse"]],
            "another process listens on a port this one needs (LMCache issues 961, 1166)",
            fix: "stop that process (ss -ltnp shows it), or choose other ports with --port-offset or in the deployment "
                + "file", isPermanent: false),
        FailureCause(
            "address", [["cannot assign requested address"], ["errno 99"], ["no such device", "tcp://"]],
            "it shall listen on an address this machine does not have",
            fix: "set host, receiverHost and proxy.notify to addresses of this machine, or 0.0.0.0"),
        FailureCause(
            "ipc-path", [["ipc path", "longer than"], ["path is too long", "ipc"]],
            "the path of a local socket is longer than the 107 bytes the system allows (LMCache issue 3529)",
            fix: "set TMPDIR to a short path, for example /tmp"),
    ]

    private static let libraries = [
        FailureCause(
            "nixl-missing", [["nixl is not available"], ["no module named 'nixl"]],
            "NIXL is not installed in vLLM's Python environment",
            fix: "pip install nixl there; `python -c 'import nixl._api'` must work"),
        FailureCause(
            "nixl-backend",
            [
                ["nixl_err_backend"], ["nixlbackenderror"], ["nixl", "failed to create backend"],
                ["no plugins available for nixl"],
            ],
            "NIXL's transport (UCX) did not start: built without CUDA, or for another CUDA version (LMCache issues 605, 725)",
            fix:
                "install the NIXL wheel of the driver's CUDA version (nixl-cu12 or nixl-cu13), and set UCX_TLS=all in the "
                + "group's env to see whether a transport is missing"),
        FailureCause(
            "lmcache-missing", [["no module named 'lmcache"], ["lmcache is not installed"]],
            "LMCache is not installed in vLLM's Python environment", fix: "pip install lmcache there"),
        FailureCause(
            "cuda-version",
            [
                ["cuda driver version is insufficient"], ["driver/library version mismatch"],
                ["forward compatibility was attempted"], ["nvidia driver on your system is too old"],
            ],
            "the NVIDIA driver and the CUDA libraries do not fit together",
            fix: "update the driver (reboot after it), or install PyTorch and vLLM for the driver's CUDA version"),
        FailureCause(
            "broken-install", [["undefined symbol"], ["cannot open shared object file"]],
            "compiled parts of the Python environment do not fit together, or a system library is missing",
            fix: "reinstall vLLM, torch, lmcache and nixl together in a fresh environment; the line names the library"),
        FailureCause(
            "arguments", [["error: unrecognized arguments"], ["error: argument --"], ["error: ambiguous option"]],
            "this version of vLLM does not know an argument",
            fix: "correct extraArgs in the deployment file; `vllm serve --help` lists what there is"),
    ]

    private static let models = [
        FailureCause(
            "gated-model",
            [
                ["gatedrepoerror"], ["gated repo"], ["access to model", "is restricted"],
                ["401 client error", "huggingface"],
            ],
            "the model's licence must be accepted, or the Hugging Face token is missing or wrong",
            fix: "accept the licence on the model's page and export HF_TOKEN in the shell that starts disagg"),
        FailureCause(
            "model-not-found",
            [
                ["repositorynotfounderror"], ["repository not found"],
                ["is not a local folder and is not a valid model identifier"], ["entrynotfounderror", "config.json"],
                ["does not appear to have a file named config.json"],
            ],
            "there is no such model, neither as a folder nor on Hugging Face",
            fix: "check model: in the deployment file, or --model"),
        FailureCause(
            "no-network",
            [
                ["couldn't connect to", "huggingface"], ["localentrynotfounderror"],
                ["max retries exceeded", "huggingface"],
            ],
            "Hugging Face cannot be reached, and the model is not in the cache",
            fix:
                "download the model where there is a network and give its folder to --model, or set HF_HOME to the cache",
            isPermanent: false),
        FailureCause(
            "remote-code", [["trust_remote_code=true"]],
            "the model brings code of its own, which vLLM does not run unasked",
            fix: "add --trust-remote-code to extraArgs if you trust the model's authors"),
        FailureCause(
            "parallel-size",
            [
                ["attention heads", "must be divisible by tensor parallel size"],
                ["is not divisible by", "tensor_parallel_size"],
                ["world size", "larger than the number of available gpus"],
            ],
            "the model cannot be divided into that many parts, or there are fewer GPUs",
            fix: "choose a tensorParallel that divides the number of attention heads, 1, 2, 4 or 8 for most models"),
        FailureCause(
            "model-length",
            [
                ["user-specified max_model_len", "is greater than"],
                ["max_num_batched_tokens", "smaller than max_model_len"],
            ],
            "the lengths in the arguments contradict the model or each other",
            fix: "correct --max-model-len or --max-num-batched-tokens in extraArgs"),
    ]

    private static let machine = [
        FailureCause(
            "no-gpu",
            [
                ["no cuda-capable device"], ["invalid device ordinal"], ["no cuda gpus are available"],
                ["failed to infer device type"],
            ],
            "the process sees no GPU, or fewer than CUDA_VISIBLE_DEVICES names",
            fix: "compare `nvidia-smi -L` with gpus in the deployment file; start containers with --gpus all"),
        FailureCause(
            "gpu-fault",
            [
                ["uncorrectable ecc"], ["an illegal memory access"], ["unspecified launch failure"],
                ["device-side assert"], ["gpu has fallen off the bus"],
            ],
            "the GPU reported a fault",
            fix: "look for Xid in `dmesg`; a GPU that faults again must be reset or taken out",
            isPermanent: false),
        FailureCause(
            "nccl", [["nccl error"], ["ncclunhandledcudaerror"], ["ncclsystemerror"], ["ncclinternalerror"]],
            "the ranks of one engine did not find each other",
            fix: "set NCCL_DEBUG=INFO in the group's env; often /dev/shm is too small, or NCCL_SOCKET_IFNAME is wrong",
            isPermanent: false),
        FailureCause(
            "open-files", [["too many open files"]], "the limit of open files is too low",
            fix: "raise it in the shell that starts disagg: ulimit -n 65536"),
        FailureCause(
            "threads",
            [["can't start new thread"], ["resource temporarily unavailable", "fork"], ["pthread_create failed"]],
            "the limit of processes or threads is reached",
            fix: "raise it: ulimit -u, or the container's pids limit", isPermanent: false),
        FailureCause(
            "memlock",
            [["cannot allocate memory", "ibv_reg_mr"], ["rlimit_memlock"], ["cudahostregister", "failed"]],
            "locked memory is limited, which RDMA and pinned buffers need",
            fix: "start with ulimit -l unlimited (containers: --ulimit memlock=-1)"),
    ]

    private static let handoff = [
        FailureCause(
            "pd-buffer", [["pd buffer too small"], ["pd receiver buffer too small"], ["multiple of align bytes"]],
            "LMCache's transfer buffer does not hold the longest prompt, or is no whole number of chunks (issues 2104, 4209)",
            fix: "make lmcache.prefillBufferBytes and decodeBufferBytes larger, or limit --max-model-len"),
        FailureCause(
            "lmcache-config",
            [
                ["pd_role", "assert"], ["pd_buffer_size", "must"], ["unsupported channel type"],
                ["invalid pd_backend_mode"],
            ],
            "LMCache refuses its configuration",
            fix: "compare the lmcache-*.yaml in the log folder with the deployment file"),
        FailureCause(
            "plain-prefill",
            [
                ["'nonetype' object has no attribute 'receiver_init_port'"],
                ["'nonetype' object has no attribute 'receiver_info'"],
            ],
            "a plain request reached an LMCache prefill engine, which ends it (issue 1084, before 0.5.7)",
            fix: "send generations, probes and warm-ups to the proxy only", isPermanent: false),
        FailureCause(
            "prefill-abort", [["indexerror", "request_finished"]],
            "a client left in the middle of an LMCache prefill, which ends the engine (Docs/EngineFacts.md row 4)",
            fix: "send generations to the proxy only: it never cuts off a prefill", isPermanent: false),
        FailureCause(
            "receiver-gone", [["remote agent", "disconnected"], ["nixl_err_remote_disconnect"]],
            "the other engine of a hand-off was restarted, and LMCache does not connect again",
            fix: "restart the prefill engines with it; disagg does", isPermanent: false),
        FailureCause(
            "buffer-full", [["failed to allocate memory object", "retrying"]],
            "the decode engine's transfer buffer is full (LMCache issues 1337, 2365)",
            fix: "make lmcache.decodeBufferBytes larger, and see Docs/Troubleshooting.md", isPermanent: false),
        // Last: it follows from each of the others.
        FailureCause(
            "degraded", [["degraded mode"]],
            "LMCache could not start its part of the hand-off; vLLM goes on without it and recomputes every prompt",
            fix:
                "the lines before it name the reason, mostly a PD buffer that is too small, a port list that is too short, or "
                + "a missing NIXL"),
    ]

    /// What other causes bring with them; shown where nothing better was found.
    private static let general = [
        FailureCause(
            "module-missing", [["modulenotfounderror"], ["importerror:"]],
            "a Python module is missing or does not load",
            fix: "install it in vLLM's Python environment"),
        FailureCause(
            "engine-dead",
            [["enginedeaderror"], ["enginecore encountered a fatal error"], ["engine core initialization failed"]],
            "vLLM's engine process ended; the reason stands above in the log", fix: "read the log's lines before it",
            isPermanent: false),
    ]
}
