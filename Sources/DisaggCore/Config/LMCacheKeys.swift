/// The configuration keys of LMCache's in-process engine, with their types and the versions that have them.
///
/// Taken from the key tables of eleven released versions between 0.3.1 and 0.5.6; where a key came or went between two of
/// them, the wider range counts, so that nobody is told that a valid key is unknown.
package enum LMCacheKeys {
    /// What the loader turns a value into.
    package enum Kind: Sendable { case text, integer, number, bool, integers, numbers, texts, mapping, any }

    /// One key.
    package struct Key: Sendable {
        /// The name in a file.
        package var name: String
        /// The type.
        package var kind: Kind
        /// First version that has it.
        package var since: LMCacheVersion
        /// Last version that has it; nil where the newest known does.
        package var until: LMCacheVersion?

        /// Whether a version understands the key.
        package func isKnown(to version: LMCacheVersion) -> Bool {
            version >= since && until.map { version <= $0 } ?? true
        }
    }

    /// All keys by name.
    package static let all: [String: Key] = {
        var keys: [String: Key] = [:]
        for (kind, names) in kinds {
            for name in names { keys[name] = Key(name: name, kind: kind, since: LMCacheVersion(0, 3, 0)) }
        }
        for (version, names) in since {
            for name in names { keys[name]?.since = version }
        }
        for (version, names) in until {
            for name in names { keys[name]?.until = version }
        }
        return keys
    }()

    /// Keys of generations A and B: current versions warn about an unknown key and go on without PD.
    package static let dead: [String: String] = [
        "enable_nixl": "enable_pd", "enable_xpyd": "enable_pd", "nixl_role": "pd_role",
        "nixl_peer_host": "pd_peer_host", "nixl_peer_init_port": "pd_peer_init_port",
        "nixl_peer_alloc_port": "pd_peer_alloc_port", "nixl_proxy_host": "pd_proxy_host",
        "nixl_proxy_port": "pd_proxy_port", "nixl_receiver_host": "pd_peer_host",
        "nixl_receiver_port": "pd_peer_init_port", "nixl_peer_port": "pd_peer_init_port",
        "controller_url": "controller_pull_url", "lmcache_worker_port": "lmcache_worker_ports",
    ]

    /// Names that documentation has used for keys that never existed.
    package static let mistaken: [String: String] = [
        "pd_backends": "nixl_backends", "local_disk_size": "max_local_disk_size",
    ]

    private static let kinds: [(Kind, [String])] = [
        (
            .bool,
            [
                "chunk_statistics_auto_start_statistics", "enable_async_loading", "enable_blending",
                "enable_chunk_statistics", "enable_controller", "enable_hidden_state_cache",
                "enable_kv_events", "enable_lazy_memory_allocator", "enable_nixl", "enable_p2p", "enable_pd",
                "enable_scheduler_bypass_lookup", "enable_xpyd", "error_handling",
                "internal_api_server_enabled", "local_cpu", "local_cpu_use_hugepages", "nixl_enable_gc",
                "pd_bidirectional", "pd_skip_proxy_notification", "py_enable_gc", "run_script_api_enabled",
                "save_decode_cache", "save_unfull_chunk", "use_gds", "use_gpu_connector_v3", "use_layerwise",
            ]
        ),
        (
            .integer,
            [
                "blend_min_tokens", "blocking_timeout_secs", "chunk_size",
                "chunk_statistics_auto_exit_target_unique_chunks", "cufile_buffer_size", "gds_buffer_size",
                "internal_api_server_port_start", "lmcache_worker_heartbeat_delay_time",
                "lmcache_worker_heartbeat_time", "lmcache_worker_port", "lookup_timeout_ms",
                "min_retrieve_tokens", "mp_port", "nixl_buffer_size", "nixl_peer_port", "nixl_proxy_port",
                "nixl_receiver_port", "pd_buffer_size", "pd_max_prefill_len", "pd_proxy_port",
                "pin_check_interval_sec", "pin_timeout_sec", "priority_limit",
            ]
        ),
        (
            .number,
            [
                "blend_recompute_ratio", "chunk_statistics_auto_exit_timeout_hours", "hit_miss_ratio",
                "lazy_memory_expand_trigger_ratio", "lazy_memory_initial_ratio", "lazy_memory_safe_size",
                "lazy_memory_step_ratio", "maru_pool_size", "max_hidden_state_cpu_size", "max_local_cpu_size",
                "max_local_disk_size", "pd_allocation_timeout_sec", "pd_condition_poll_interval_sec",
                "pd_shutdown_timeout_sec", "reserve_local_cpu_size",
            ]
        ),
        (
            .text,
            [
                "app_id", "audit_actual_remote_url", "blend_special_str", "cache_policy",
                "chunk_statistics_strategy", "controller_pull_url", "controller_reply_url", "controller_url",
                "distributed_url", "external_lookup_client", "gds_backend", "gds_path", "gds_path_sharding",
                "hidden_states_retrieve_mode", "internal_api_server_host",
                "internal_api_server_socket_path_prefix", "lmcache_instance_id", "local_disk",
                "local_disk_path_sharding", "lookup_url", "maru_path", "mp_host", "nixl_buffer_device",
                "nixl_peer_host", "nixl_proxy_host", "nixl_receiver_host", "nixl_role", "numa_mode",
                "p2p_host", "pd_backend_mode", "pd_buffer_device", "pd_peer_host", "pd_proxy_host", "pd_role",
                "pre_caching_hash_algorithm", "remote_config_url", "remote_serde", "remote_url",
                "store_location", "transfer_channel", "weka_path",
            ]
        ),
        (
            .integers,
            [
                "blend_check_layers", "hidden_state_layers", "internal_api_server_include_index_list",
                "lmcache_worker_ids", "lmcache_worker_ports", "lookup_server_worker_ids",
                "nixl_peer_alloc_port", "nixl_peer_init_port", "p2p_init_ports", "p2p_lookup_ports",
                "pd_peer_alloc_port", "pd_peer_init_port", "pd_peer_query_port",
            ]
        ),
        (
            .numbers,
            [
                "blend_recompute_ratios", "blend_thresholds",
            ]
        ),
        (
            .texts,
            [
                "external_backends", "nixl_backends", "plugin_locations", "remote_storage_plugins",
                "retrieve_locations", "runtime_plugin_locations", "script_allowed_imports", "storage_plugins",
            ]
        ),
        (
            .mapping,
            [
                "extra_config"
            ]
        ),
    ]

    private static let since: [(LMCacheVersion, [String])] = [
        (
            LMCacheVersion(0, 3, 3),
            [
                "enable_xpyd", "external_lookup_client", "nixl_peer_alloc_port", "nixl_peer_init_port",
                "nixl_proxy_host", "nixl_proxy_port", "pre_caching_hash_algorithm",
            ]
        ),
        (
            LMCacheVersion(0, 3, 4),
            [
                "blend_check_layers", "blend_recompute_ratios", "blend_thresholds", "cache_policy",
                "enable_async_loading", "external_backends", "internal_api_server_enabled",
                "internal_api_server_host", "internal_api_server_include_index_list",
                "internal_api_server_port_start", "internal_api_server_socket_path_prefix",
                "lmcache_worker_heartbeat_delay_time", "lmcache_worker_heartbeat_time", "nixl_backends",
                "numa_mode", "plugin_locations", "priority_limit", "py_enable_gc",
            ]
        ),
        (
            LMCacheVersion(0, 3, 7),
            [
                "controller_pull_url", "controller_reply_url", "enable_pd", "hit_miss_ratio",
                "lmcache_worker_ports", "lookup_timeout_ms", "p2p_host", "p2p_init_ports", "p2p_lookup_ports",
                "pd_buffer_device", "pd_buffer_size", "pd_peer_alloc_port", "pd_peer_host",
                "pd_peer_init_port", "pd_proxy_host", "pd_proxy_port", "pd_role", "transfer_channel",
            ]
        ),
        (
            LMCacheVersion(0, 3, 8),
            [
                "app_id", "chunk_statistics_auto_exit_target_unique_chunks",
                "chunk_statistics_auto_exit_timeout_hours", "chunk_statistics_auto_start_statistics",
                "chunk_statistics_strategy", "enable_chunk_statistics", "enable_kv_events",
                "enable_lazy_memory_allocator", "enable_scheduler_bypass_lookup",
                "lazy_memory_expand_trigger_ratio", "lazy_memory_initial_ratio", "lazy_memory_safe_size",
                "lazy_memory_step_ratio", "lmcache_worker_ids", "lookup_server_worker_ids",
                "min_retrieve_tokens", "pin_check_interval_sec", "pin_timeout_sec", "remote_config_url",
                "remote_storage_plugins", "reserve_local_cpu_size", "runtime_plugin_locations",
                "script_allowed_imports", "storage_plugins", "use_gpu_connector_v3",
            ]
        ),
        (
            LMCacheVersion(0, 4, 2),
            [
                "retrieve_locations", "store_location",
            ]
        ),
        (
            LMCacheVersion(0, 4, 4),
            [
                "gds_backend", "gds_buffer_size", "gds_path_sharding", "local_disk_path_sharding", "maru_path",
                "maru_pool_size", "pd_skip_proxy_notification", "use_gds",
            ]
        ),
        (
            LMCacheVersion(0, 4, 5),
            [
                "local_cpu_use_hugepages", "mp_host", "mp_port", "pd_allocation_timeout_sec",
                "pd_backend_mode", "pd_bidirectional", "pd_condition_poll_interval_sec", "pd_max_prefill_len",
                "pd_peer_query_port", "pd_shutdown_timeout_sec",
            ]
        ),
        (
            LMCacheVersion(0, 4, 7),
            [
                "enable_hidden_state_cache", "hidden_state_layers", "hidden_states_retrieve_mode",
                "max_hidden_state_cpu_size",
            ]
        ),
        (
            LMCacheVersion(0, 5, 2),
            [
                "run_script_api_enabled"
            ]
        ),
    ]

    private static let until: [(LMCacheVersion, [String])] = [
        (
            LMCacheVersion(0, 3, 14),
            [
                "external_backends", "plugin_locations", "weka_path",
            ]
        ),
        (
            LMCacheVersion(0, 3, 6),
            [
                "blend_recompute_ratio", "controller_url", "distributed_url", "enable_nixl", "enable_xpyd",
                "error_handling", "lmcache_worker_port", "lookup_url", "nixl_enable_gc",
                "nixl_peer_alloc_port", "nixl_peer_host", "nixl_peer_init_port", "nixl_peer_port",
                "nixl_proxy_host", "nixl_proxy_port", "nixl_receiver_host", "nixl_receiver_port", "nixl_role",
            ]
        ),
        (
            LMCacheVersion(0, 4, 3),
            [
                "cufile_buffer_size"
            ]
        ),
    ]
}
