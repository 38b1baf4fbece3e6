extension CheckCatalog {
    static let agreement = [
        Check(
            .chunkSize, .error, "chunk_size is the same on every engine.",
            why: "NIXL reports a length mismatch and nothing is announced.", fix: "Use one value, 256.",
            source: "pd_backend.py"),
        Check(
            .hashAlgorithm, .error, "pre_caching_hash_algorithm is the same on every engine.",
            why: "Chunks have other names on each side: no hit, and the buffer fills up.", fix: "Use one value.",
            source: "token_database.py"),
        Check(
            .hashSeed, .error, "PYTHONHASHSEED is set, to the same text, in every engine process.",
            why:
                "Python's hash differs in each process without it; \"0\" and \"00\" differ too. The decode engine never "
                + "hits, computes every prompt again, and its buffer fills up.",
            fix: "PYTHONHASHSEED=0 for every engine.",
            source: "1133, 1251, 1739, 2136, 2511, vllm#21161, vllm#42625"),
        Check(
            .modelDiffers, .error, "The model's name is the same text on every engine.",
            why: "It is part of every key: /models/x, /models/x/ and org/x are three models.", fix: "Use one text.",
            source: "utils.py, CacheEngineKey"),
        Check(
            .modelAtSign, .error, "The model's name has no @.", why: "\"Invalid key string\", and no notification.",
            fix: "Rename the folder.", source: "utils.py, CacheEngineKey"),
        Check(
            .kvType, .error, "--kv-cache-dtype is the same on every engine.", why: "It is part of every key.",
            fix: "Use one value.", source: "utils.py, CacheEngineKey"),
        Check(
            .speculation, .error, "Either all engines have --speculative-config with the same method, or none.",
            why: "Draft layers are part of the KV that is sent: shapes differ.", fix: "Use one value.",
            source: "vllm_v1_adapter.py"),
        Check(
            .parallelism, .error, "Prefill and decode engines have the same tensor and pipeline parallel sizes.",
            why: "Sender rank i writes into receiver rank i: IndexError, or too few notifications. (Models with latent "
                + "attention store on one rank, so theirs may differ.)",
            fix: "Use the same sizes, or the nixl hand-off, which can differ.", source: "1142, 1629, 2038"),
        Check(
            .notifyAddress, .error, "pd_proxy_host and pd_proxy_port lead to the proxy's notification address.",
            why: "ZeroMQ connects in the background and never complains: no notification arrives.",
            fix: "Make pd_proxy_port and the proxy's --notify or --proxy-port the same.", source: "2419, pd_backend.py"),
        Check(
            .notifyIPv6, .error, "pd_proxy_host is a name or an IPv4 address.",
            why: "The sender's socket speaks IPv4 only; `[::1]` gets nothing.", fix: "Use an IPv4 address.",
            source: "run with pyzmq"),
        Check(
            .loopback, .error, "No loopback address is used between machines.",
            why: "localhost is another machine for each engine: transfers fail or hang.",
            fix: "Use addresses that the other machines reach: receiverHost, proxy.notify, side channel hosts.",
            source: "1992, 725, 1258"),
        Check(
            .peerHost, .error, "pd_peer_host is an address of the decode engine itself.",
            why: "It is the receiver's own bind address, not the prefill engine's.",
            fix: "Use the decode machine's address, or 0.0.0.0.", source: "2419, 1992"),
        Check(
            .decoderPorts, .error, "The proxy names the init and alloc ports that the decode engine binds.",
            why: "The sender waits for ever inside vLLM's worker for a port that nobody listens on: the whole prefill "
                + "engine hangs.",
            fix: "Make the lists equal, in rank order.", source: "2144"),
        Check(
            .decoderPortsOverlap, .error, "No two decode engines on a machine share a receiver port.",
            why:
                "Both come up without an error, and one takes the other's KV. With --num-decoders N the example proxy adds "
                + "i to every port of decoder i, so bases 7300,7301 overlap.",
            fix: "Space the ports of ranks by at least the number of decoders: 7300,7310.", source: "2144, PR 2195"),
        Check(
            .portClash, .error, "No port is wanted twice on one machine.",
            why: "\"Address already in use\", or with LMCache nothing at all.", fix: "Choose other ports.",
            source: "961, 1166, 805"),
        Check(
            .notificationCount, .error, "The proxy waits for as many notifications as the prefill engine sends.",
            why:
                "One for each rank that stores; models with latent attention store on rank 0 only. LMCache's example proxy "
                + "waits for one a port instead and hangs.",
            fix: "Use disagg-proxy; for the example proxy list one port.", source: "1777, 2144"),
        Check(
            .proxyChunkSize, .warning, "The proxy's --chunk-size and --pd-buffer-size are those of the engines.",
            why: "Its admission limit is computed from them.", fix: "Use the same values.", source: "2957"),
    ]

    static let engines = [
        Check(
            .kvConnector, .error, "--kv-transfer-config names the connector of the hand-off, and the engine has it.",
            why: "Without it nothing is transferred; an unknown name stops vLLM.",
            fix:
                "See the hand-off's row in Architecture.md. P2pNcclConnector and SharedStorageConnector are gone in 0.33.",
            source: "vllm kv_connector/factory.py"),
        Check(
            .kvRole, .error, "kv_role is kv_producer on prefill and kv_consumer on decode engines.",
            why: "A prefill engine with kv_both skips what it finds in a tier, and never notifies.", fix: "Correct it.",
            source: "vllm_v1_adapter.py"),
        Check(
            .kvTransferKeys, .error, "--kv-transfer-config is JSON and has no removed keys.",
            why: "kv_rank, kv_parallel_size, kv_buffer_size and kv_ip of old examples are refused by current vLLM.",
            fix: "Remove them.", source: "vllm config/kv_transfer.py"),
        Check(
            .prefixCaching, .error, "vLLM's prefix cache is off on LMCache decode engines.",
            why: "Chunks that vLLM has already are not fetched, and stay in the buffer for good.",
            fix: "--no-enable-prefix-caching", source: "2933, 2934"),
        Check(
            .partialChunks, .error, "discard_partial_chunks is false.",
            why: "The last chunk of a prompt is not sent: short prompts are never announced.",
            fix: "Set \"discard_partial_chunks\": false in kv_connector_extra_config.", source: "2459, 2510"),
        Check(
            .skipLastTokens, .error,
            "skip_last_n_tokens on the decode engine is 1 where the first token comes from prefill, else 0.",
            why: "Otherwise the last chunk is never found, and its page is lost.",
            fix: "Set it in kv_connector_extra_config of the decode engine.", source: "2365, 978, 2471"),
        Check(
            .rpcPort, .warning, "lmcache_rpc_port is different for each engine of a machine.",
            why: "It names a local socket.", fix: "producer1, producer2, consumer1, …", source: "961, 1166"),
        Check(
            .dataParallel, .error, "No LMCache PD engine has --data-parallel-size above 1.",
            why: "Each data-parallel rank counts its workers from 0 and takes the same ports.",
            fix: "Start more engines (replicas), or use nixl.", source: "961"),
        Check(
            .attentionHeads, .error, "The tensor parallel size divides the model's attention heads.",
            why: "vLLM does not start.", fix: "Choose another size.", source: "vllm config/model.py"),
        Check(
            .ucxTransports, .warning, "UCX_TLS has the CUDA transports.",
            why: "UCX takes GPU memory for host memory, or copies over TCP: NIXL_ERR_BACKEND, or a slow hand-off.",
            fix: "UCX_TLS=cuda_ipc,cuda_copy,tcp on one machine; add rc for InfiniBand.",
            source: "605, 725, 3367, nixl#177, nixl#503, vllm#41048"),
        Check(
            .workerStart, .warning, "VLLM_WORKER_MULTIPROC_METHOD is spawn.",
            why: "A forked worker cannot use CUDA that its parent has touched.", fix: "Set it to spawn.",
            source: "LMCache's examples"),
        Check(
            .removedVariable, .warning, "No variable is set that vLLM does not read any more.",
            why:
                "VLLM_NIXL_ABORT_REQUEST_TIMEOUT became kv_lease_duration in kv_connector_extra_config; a layout of HND must "
                + "not be forced any more.",
            fix: "Remove it.", source: "vllm envs.py of 0.33"),
        Check(
            .requestIDs, .error, "P2pNccl engines have VLLM_DISABLE_REQUEST_ID_RANDOMIZATION=1.",
            why: "From 0.14 on vLLM makes request ids random, and tensors are named after them.", fix: "Set it.",
            source: "vllm#42839, #34277, #33947"),
        Check(
            .prefillExposed, .warning, "LMCache prefill engines before 0.5.7 listen where only the proxy reaches them.",
            why: "A plain request (a probe, a warm-up, a curl) ends the engine.",
            fix: "Listen on loopback or an internal address, and generate through the proxy only.", source: "1084, 1342"
        ),
        Check(
            .restartCoupling, .warning, "LMCache prefill engines are restarted with the decode engines they knew.",
            why: "They do not connect again. The launcher couples only engines that it has started.",
            fix: "Restart the prefill engines after a decode engine.", source: "nixl#1983"),
        Check(
            .exampleProxy, .warning, "The proxy is not LMCache's example.",
            why:
                "It fails on chunks with empty choices, sends chats to completions, loses tools and log-probabilities, "
                + "needs max_tokens, and counts request ids from 1.",
            fix: "Use disagg-proxy, which takes the same flags.", source: "3475, 3479, 3998, 2681, 1511, 978, 2471"),
        Check(
            .decodeBeforeKV, .warning, "Something orders the decode after the prefill's KV is stored.",
            why:
                "With a shared store nothing tells when the KV has been written: the decode may miss it and compute again.",
            fix: "Use lmcache, nixl or lmcache-mp, or accept it.", source: "1350, 2471, 2874, 1413"),
    ]

    static let versions = [
        Check(
            .versionGeneration, .error, "The LMCache version has the hand-off.",
            why: "Up to 0.3.2 there is no notification, from 0.3.7 no enable_nixl.",
            fix: "lmcache-legacy up to 0.3.2 (to 0.3.6 without enable_xpyd), lmcache from 0.3.3 on.",
            source: "wheels of 0.3.0 to 0.5.6"),
        Check(
            .versionSharedPrefix, .error, "The async backend is not that of 0.4.5 to 0.4.7.",
            why: "\"Key … not found in local data\": two requests with a common prefix end the engine.",
            fix: "LMCache 0.5.0 or later, or pd_backend_mode: sync from 0.4.7 on.", source: "3278, 2847"),
        Check(
            .versionHash, .error, "LMCache before 0.4.1 runs on Python 3.12 or later.",
            why: "The hash of None differs in each process.", fix: "LMCache 0.4.1 or later.", source: "2511, 2136"),
        Check(
            .versionOversized, .warning, "LMCache is 0.5.3 or later.",
            why: "A prompt larger than the buffer hangs; later versions refuse it at once.",
            fix: "Upgrade, and keep the longest prompt below the buffer.", source: "4209"),
        Check(
            .versionPartialDeadlock, .warning, "The backend admits requests by their whole size.",
            why:
                "With the sync backend several half-sent prompts can fill the buffer and wait for each other for ever.",
            fix: "LMCache 0.5.0 or later with the async backend, or fewer prompts at once.", source: "2080, 2957, 1215"),
        Check(
            .versionNIXL, .error, "vLLM 0.33 or later has NIXL 1.5.0 or later.", why: "The connector refuses to start.",
            fix: "Upgrade nixl.", source: "vllm nixl/base_worker.py 613"),
        Check(
            .pythonDiffers, .error, "All engines run Python 3.11 or later, or all 3.10.",
            why: "3.10 hashes text to another value for the same seed.",
            fix: "Use one Python version, or pre_caching_hash_algorithm: sha256_cbor.", source: "token_database.py"),
    ]
}
