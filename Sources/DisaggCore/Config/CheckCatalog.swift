/// All checks in one table: the command, the document and the tests read this one.
package enum CheckCatalog {
    /// A part of the table.
    package struct Section: Sendable {
        /// Heading.
        package var title: String
        /// What its checks look at.
        package var about: String
        /// The checks.
        package var checks: [Check]
    }

    /// The table, in the order of the document.
    package static let sections = [
        Section(
            title: "Reading LMCache files", about: "What LMCache's loader accepts and then ignores or misunderstands.",
            checks: reading),
        Section(
            title: "The hand-off of one engine",
            about: "Most of these end in *degraded mode*: vLLM starts, answers, and transfers nothing.", checks: handoff
        ),
        Section(
            title: "Buffers", about: "Sizes for each rank, from the model's shape and the context length.",
            checks: buffers),
        Section(
            title: "Other storage", about: "Host memory, disk and remote stores beside the hand-off.", checks: storage),
        Section(
            title: "What must agree",
            about:
                "Nothing enforces these. Most of them show as a decode engine that never hits, and a buffer that fills.",
            checks: agreement),
        Section(title: "Engine arguments and environment", about: "Of each engine.", checks: engines),
        Section(title: "Versions", about: "Defects of released versions.", checks: versions),
        Section(title: "This machine", about: "Left out with `--no-machine`.", checks: machine),
        Section(title: "Running engines", about: "With `--online`.", checks: running),
    ]

    /// All checks by name.
    package static let all: [CheckID: Check] = Dictionary(
        sections.flatMap(\.checks).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })

    /// The severity of a check.
    package static func severity(_ id: CheckID) -> CheckSeverity { all[id]?.severity ?? .error }

    private static let reading = [
        Check(
            .lmcacheSyntax, .error, "The file is YAML with keys and values at the top level.",
            why: "LMCache stops with a Python traceback.", fix: "Correct the line.", source: "config_base.py"),
        Check(
            .lmcacheUnknownKey, .error, "Every key is one LMCache knows.",
            why:
                "An unknown key is a warning in the log and has no effect; a mistyped one is a setting that is not there.",
            fix: "Correct the name, or remove the line.", source: "4248, 4485, 2854"),
        Check(
            .lmcacheDeadKey, .error, "No key of generations A and B is used with a current version.",
            why: "`enable_xpyd`, `nixl_role` and the others load without an error, and PD stays off.",
            fix: "Use the `pd_…` name; `disagg-launch config` writes the whole file.", source: "4248, 4485"),
        Check(
            .lmcacheOtherVersionKey, .error, "Every key exists in the installed version.",
            why: "The version ignores it, so a limit or a backend that you count on is not there.",
            fix: "Upgrade LMCache, or remove the key.", source: "key tables of 0.3.1 to 0.5.6"),
        Check(
            .lmcacheValueType, .error, "Every value can be converted to its key's type.",
            why: "LMCache warns and goes on with no value at all, not with the default. `1e9` is text in YAML.",
            fix: "Write the number out.", source: "config_base.py"),
        Check(
            .lmcacheBoolText, .error, "Truth values are not in quotes.",
            why: "Only \"true\" and \"1\" in quotes count as true; \"yes\" and \"on\" are false.",
            fix: "Write true or false without quotes.", source: "config_base.py"),
        Check(
            .lmcacheOctal, .warning, "No number begins with 0.", why: "YAML 1.1 reads it as octal.",
            fix: "Remove the leading zero.", source: "PyYAML"),
        Check(
            .lmcacheEnvironment, .warning, "No LMCACHE_ variable contradicts the file.",
            why: "The environment wins over the file, although LMCache's documentation says the opposite.",
            fix: "Unset the variable, or move the value into the file.", source: "config_base.py"),
        Check(
            .lmcacheOverride, .warning, "No `lmcache.…` entry of kv_connector_extra_config contradicts the file.",
            why: "Such entries are applied last and are not validated.", fix: "Move the value into the file.",
            source: "config_base.py"),
        Check(
            .lmcacheForceSkipSave, .error, "LMCACHE_FORCE_SKIP_SAVE is not set.",
            why: "Any text, also \"false\", switches saving off: nothing is sent.", fix: "Unset it.",
            source: "vllm_v1_adapter.py"),
    ]

    private static let handoff = [
        Check(
            .pdOff, .error, "PD is switched on in the file of a prefill or decode engine.",
            why: "The engine works alone; the proxy waits for a notification that nobody sends.",
            fix: "Set enable_pd: true.", source: "4485"),
        Check(
            .pdRequired, .error, "pd_role, pd_buffer_size and pd_buffer_device are set.", why: "vLLM does not start.",
            fix: "Add the key.", source: "config.py, validate"),
        Check(
            .pdRole, .error,
            "pd_role is sender (with the sync backend also both) on prefill and receiver on decode engines, in lower case.",
            why:
                "Any other value fails later: degraded mode. With both an engine binds no port: nothing can be sent to it.",
            fix: "Correct it.", source: "pd_backend_async.py 242, pd_backend.py 236"),
        Check(
            .pdBackendMode, .error, "pd_backend_mode is async or sync.", why: "vLLM does not start.",
            fix: "Correct it, or remove the line.", source: "config.py, validate"),
        Check(
            .pdWithP2P, .error, "enable_p2p is off.", why: "vLLM does not start.", fix: "Remove enable_p2p.",
            source: "config.py, validate"),
        Check(
            .pdChannel, .error, "transfer_channel is nixl, in lower case.", why: "Degraded mode.",
            fix: "Set transfer_channel: nixl.", source: "transfer_channel/__init__.py"),
        Check(
            .pdReceiverAddress, .error,
            "A receiver, and a sender with pd_role both, has pd_peer_host, pd_peer_init_port and pd_peer_alloc_port.",
            why: "Degraded mode.", fix: "Add the keys; one port a rank.", source: "pd_backend_async.py 249"),
        Check(
            .pdProxyAddress, .error, "A sender has pd_proxy_host and pd_proxy_port.",
            why: "Degraded mode; with the async backend also if pd_skip_proxy_notification is set.",
            fix: "Add the address on which the proxy takes notifications.", source: "pd_backend_async.py 253"),
        Check(
            .pdPortsPerRank, .error, "A receiver has one init and one alloc port for each rank.",
            why: "Rank i takes port i of the list: IndexError, then degraded mode.",
            fix: "List tensor × pipeline parallel size ports, all different.", source: "1381, 2854, 1142"),
        Check(
            .pdStoreLocation, .error, "A receiver's store_location is not PDBackend.", why: "vLLM does not start.",
            fix: "Name another backend, or remove the line.", source: "config.py, validate"),
        Check(
            .pdRetrieveLocations, .error, "A receiver's retrieve_locations is absent or [PDBackend].",
            why: "vLLM does not start.", fix: "Set retrieve_locations: [PDBackend].", source: "config.py, validate"),
        Check(
            .pdUnfullChunks, .error, "save_unfull_chunk is true.",
            why: "Without it a prompt shorter than a chunk is neither sent nor announced (its default is false from "
                + "0.3.11 on; those versions switch it on for PD).",
            fix: "Set save_unfull_chunk: true.", source: "2459, 2510"),
        Check(
            .pdLayerwise, .error, "use_layerwise is off.",
            why: "Storing by layers does not carry the receiver's address: nothing is ever transferred.",
            fix: "Remove use_layerwise.", source: "cache_engine.py, store_layer"),
        Check(
            .pdAsyncLoading, .error, "enable_async_loading is off.", why: "Unsupported with PD; the engine crashes.",
            fix: "Remove enable_async_loading.", source: "3685, 1818"),
        Check(
            .pdSkipNotification, .error, "pd_skip_proxy_notification is off.",
            why: "The proxy would ask the decode engine before the KV is there.", fix: "Remove the line.",
            source: "1350, 2471, 2874"),
        Check(
            .pdAsyncIgnores, .warning, "No key is set that the async backend ignores.",
            why: "pd_bidirectional and pd_peer_query_port belong to the sync backend.",
            fix: "Set pd_backend_mode: sync, or remove the key.", source: "pd_backend_async.py"),
        Check(
            .minRetrieveTokens, .error, "min_retrieve_tokens is 0.",
            why:
                "Below 0 vLLM does not start. Above 0 a decode engine computes short prompts itself, and their chunks stay "
                + "in its buffer for good.",
            fix: "Remove the line.", source: "config.py, validate"),
    ]

    private static let buffers = [
        Check(
            .pdBufferChunk, .error, "A buffer holds at least one chunk.", why: "Degraded mode.",
            fix: "Make it larger; `disagg-launch config` computes the size.", source: "pd_backend_async.py 463"),
        Check(
            .pdBufferMultiple, .error, "Up to 0.4.2 a buffer is an exact multiple of a chunk.",
            why: "\"Buffer size must be a multiple of align bytes\". Later versions round down.",
            fix: "Round it down to whole chunks.", source: "2104, 1990, 1473, 2694"),
        Check(
            .pdBufferPrompt, .error, "A receiver's buffer holds the longest prompt.",
            why: "Such a request is never announced (async), or the receiver spins for ever with \"Failed to allocate "
                + "memory object, retrying\" (sync).",
            fix: "Enlarge pd_buffer_size, or lower pd_max_prefill_len or --max-model-len.",
            source: "4209, 1337, 1339, 1990, 2365, 1030"),
        Check(
            .pdBufferConcurrency, .warning, "A receiver's buffer holds more than one of the longest prompts.",
            why: "A prompt that has arrived stays until it is decoded; the next one waits for its room.",
            fix: "Enlarge pd_buffer_size.", source: "2080, 2957"),
        Check(
            .pdMaxPrefill, .error, "A buffer holds pd_max_prefill_len tokens, on both roles.",
            why:
                "\"PD buffer too small\", then degraded mode: LMCache's own examples of 0.4.6 to 0.5.6 fail so with their "
                + "default model.",
            fix: "Enlarge pd_buffer_size or lower pd_max_prefill_len.", source: "pd_backend_async.py 488"),
        Check(
            .pdMaxPrefillUnset, .warning, "A receiver has pd_max_prefill_len.",
            why: "Without it a buffer that is too small is found by the first long request, not at the start.",
            fix: "Set it to the longest prompt.", source: "pd_backend_async.py 488"),
        Check(
            .pdSenderStaging, .warning, "A sender's buffer holds what one scheduler step stores.",
            why: "Only a part of the prompt is stored, and the request is never announced.",
            fix: "At least (max_num_batched_tokens ÷ chunk + 1) chunks; twice that to overlap.",
            source: "pd_backend_async.py"),
        Check(
            .pdAllocationTimeout, .warning, "pd_allocation_timeout_sec is finite.",
            why: "Its default is for ever: a full buffer hangs the whole engine.",
            fix: "Set it to 10, and give the proxy a deadline too.", source: "2080"),
        Check(
            .modelShape, .warning, "The model's shape is known.",
            why: "Without it no buffer or memory size can be checked.",
            fix: "Give the model's config.json: modelConfig in the deployment file, or --model-config.", source: "–"),
    ]

    private static let storage = [
        Check(
            .tiersNeedCPU, .error, "Disk and remote tiers come with local_cpu: true and max_local_cpu_size above 0.",
            why: "They take their staging memory from there: degraded mode or a deadlock.",
            fix: "Set local_cpu: true and max_local_cpu_size.", source: "2556, 2557, 2942"),
        Check(
            .tiersVersion, .error, "Before 0.4.2 there is no remote_url and no save_decode_cache beside PD.",
            why: "vLLM does not start.", fix: "Upgrade LMCache, or remove them.", source: "config.py of 0.3.7 to 0.4.1"),
        Check(
            .tiersConsumer, .warning, "No storage is configured for an engine with kv_role kv_consumer.",
            why: "A consumer never saves: store_location and save_decode_cache have no effect.",
            fix: "Remove them from the decode engine's file.", source: "vllm_v1_adapter.py"),
        Check(
            .legacyStorage, .error, "Versions 0.3.0 to 0.3.2 have no other storage beside NIXL.",
            why: "vLLM does not start.",
            fix: "local_cpu: false, max_local_cpu_size: 0, no local_disk, no remote_url.", source: "config.py of 0.3.1"),
        Check(
            .mlaSerde, .error, "Models with latent attention use remote_serde: naive.", why: "ValueError.",
            fix: "Set remote_serde: naive.", source: "cache_engine.py"),
        Check(
            .controllerIncomplete, .error,
            "enable_controller comes with lmcache_instance_id, both controller URLs and worker ports.",
            why: "vLLM does not start.", fix: "Add the keys.", source: "config.py, validate"),
        Check(
            .p2pIncomplete, .error, "enable_p2p comes with the controller, p2p_host, both port lists and a channel.",
            why: "vLLM does not start.", fix: "Add the keys.", source: "config.py, validate"),
        Check(
            .nixlStorage, .error, "extra_config.enable_nixl_storage comes with its backend, pool size and buffer.",
            why: "vLLM does not start.",
            fix:
                "Add nixl_backend, nixl_pool_size, nixl_buffer_device; nixl_buffer_size only where the device is no cpu.",
            source: "config.py, validate"),
    ]
}
