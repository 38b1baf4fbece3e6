@testable import DisaggCore

/// LMCache files and command lines that work together, to be broken one thing at a time.
struct CheckScene {
    var prefill = """
        chunk_size: 256
        save_unfull_chunk: true
        local_cpu: false
        max_local_cpu_size: 0
        enable_pd: true
        pd_backend_mode: async
        transfer_channel: nixl
        pd_role: sender
        pd_proxy_host: localhost
        pd_proxy_port: 7500
        pd_buffer_size: 2214592512
        pd_buffer_device: cuda
        pd_max_prefill_len: 16384
        pd_allocation_timeout_sec: 10
        """
    var decode = """
        chunk_size: 256
        save_unfull_chunk: true
        local_cpu: false
        max_local_cpu_size: 0
        enable_pd: true
        pd_backend_mode: async
        transfer_channel: nixl
        pd_role: receiver
        pd_peer_host: 127.0.0.1
        pd_peer_init_port: [7300]
        pd_peer_alloc_port: [7400]
        pd_buffer_size: 4362076160
        pd_buffer_device: cuda
        pd_max_prefill_len: 16384
        pd_allocation_timeout_sec: 10
        """
    var prefillCommand =
        "PYTHONHASHSEED=0 UCX_TLS=cuda_ipc,cuda_copy,tcp VLLM_WORKER_MULTIPROC_METHOD=spawn vllm serve "
        + "meta-llama/Llama-3.1-8B-Instruct --host 127.0.0.1 --port 8100 --max-model-len 16384 "
        + "--no-enable-prefix-caching --kv-transfer-config "
        + #"'{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_producer","kv_connector_extra_config":"#
        + #"{"discard_partial_chunks":false,"lmcache_rpc_port":"producer1"}}'"#
    var decodeCommand =
        "PYTHONHASHSEED=0 UCX_TLS=cuda_ipc,cuda_copy,tcp VLLM_WORKER_MULTIPROC_METHOD=spawn vllm serve "
        + "meta-llama/Llama-3.1-8B-Instruct --host 127.0.0.1 --port 8200 --max-model-len 16384 "
        + "--no-enable-prefix-caching --kv-transfer-config "
        + #"'{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_consumer","kv_connector_extra_config":"#
        + #"{"discard_partial_chunks":false,"lmcache_rpc_port":"consumer1","skip_last_n_tokens":0}}'"#
    var proxyCommand =
        "disagg-proxy --first-token decode --prefiller-port 8100 --decoder-host 127.0.0.1 --decoder-port 8200 "
        + "--decoder-init-port 7300 --decoder-alloc-port 7400 --proxy-host localhost --proxy-port 7500"
    var version = LMCacheVersion.newestKnown
    var vllm: LMCacheVersion? = LMCacheVersion(0, 24, 0)
    var secondDecode: String?

    /// What the rules find.
    var findings: [CheckFinding] {
        var sources = CheckedSet.Sources()
        sources.files = [.init(name: "P.yaml", text: prefill), .init(name: "D.yaml", text: decode)]
        if let secondDecode { sources.files.append(.init(name: "D2.yaml", text: secondDecode)) }
        sources.prefillCommands = [prefillCommand]
        sources.decodeCommands = [decodeCommand]
        sources.proxyCommand = proxyCommand
        var problems: [CheckFinding] = []
        var set = CheckedSet(sources, shape: nil, version: version, problems: &problems)
        set.vllmVersion = vllm
        return problems + CheckRules.run(set)
    }

    /// The names of the errors and warnings found.
    var found: Set<CheckID> { Set(findings.map(\.check)) }

    /// Replaces text in one of the parts; an empty `old` appends a line.
    mutating func change(_ part: WritableKeyPath<CheckScene, String>, _ old: String, _ new: String) {
        guard !old.isEmpty else {
            self[keyPath: part] += "\n\(new)"
            return
        }
        self[keyPath: part] = self[keyPath: part].split(separator: old, omittingEmptySubsequences: false)
            .joined(separator: new)
    }
}
