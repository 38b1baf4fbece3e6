/// The LMCache configuration of one engine: what `LMCACHE_CONFIG_FILE` names.
///
/// The text depends on the deployment alone and has a fixed order, so two runs differ only where the deployment does.
package enum LMCacheFile {
    /// Bytes of one chunk in one rank of the deployment's engines, nil where the model is not known.
    package static func chunkBytes(_ deployment: Deployment) -> Int? { LMCacheSizing(deployment).chunkBytes }

    /// `pd_buffer_size` of one role: the deployment's number down to whole chunks, or sized from the model.
    package static func bufferBytes(_ deployment: Deployment, _ role: BackendRole) -> Int {
        let configured = role == .prefill ? deployment.lmcache.prefillBufferBytes : deployment.lmcache.decodeBufferBytes
        return LMCacheSizing(deployment).bufferBytes(role, configured: configured)
    }

    /// The address that senders push notifications to: a listener on all addresses is reached at `localhost`.
    package static func notifyHost(_ deployment: Deployment) -> String {
        let host = deployment.proxy.notify.host
        return ["0.0.0.0", "::", "*"].contains(host) ? "localhost" : host
    }

    /// The file of one engine, nil where the hand-off needs none.
    package static func yaml(_ deployment: Deployment, _ role: BackendRole, replica: Int) -> String? {
        switch deployment.handoff {
        case .lmcache:
            deployment.lmcacheVersion.generation == .xpyd
                ? LMCacheFileText(deployment, role, replica).xpyd : LMCacheFileText(deployment, role, replica).current
        case .lmcacheLegacy: LMCacheFileText(deployment, role, replica).legacy
        default: nil
        }
    }
}
