/// The `lmcache:` section of a deployment file.
enum LMCacheSettingsText {
    static let keys = [
        "version", "backend", "chunkSize", "prefillBufferBytes", "decodeBufferBytes", "bufferDevice",
        "maxPrefillTokens", "concurrency", "allocationTimeout", "hashAlgorithm", "storesOnFirstRankOnly", "cpuTier",
        "diskTierPath", "diskTier", "remoteStore", "server", "changeRoles",
    ]

    /// Reads the section; the result is `storesOnFirstRankOnly` where the file has it.
    static func read(
        _ node: YAMLNode, _ path: String, _ reader: inout ConfigReader, _ lmcache: inout LMCacheSettings
    ) -> Bool? {
        var storesOnFirstRankOnly: Bool?
        reader.members(of: node, at: path, known: keys) { reader, key, node, path in
            switch key {
            case "version":
                guard let text = reader.string(node, at: path) else { return }
                guard let version = LMCacheVersion(text), version >= LMCacheVersion(0, 3, 0) else {
                    return reader.note("expected a version from 0.3.0 on, such as 0.5.6, got \"\(text)\"", at: path)
                }
                lmcache.version = version
            case "backend": lmcache.backend = reader.choice(node, at: path, of: LMCacheBackendMode.self)
            case "chunkSize": reader.integer(node, at: path, in: 1...65536).map { lmcache.chunkSize = $0 }
            case "prefillBufferBytes": lmcache.prefillBufferBytes = reader.bytes(node, at: path)
            case "decodeBufferBytes": lmcache.decodeBufferBytes = reader.bytes(node, at: path)
            case "bufferDevice":
                reader.choice(node, at: path, of: LMCacheSettings.BufferDevice.self).map { lmcache.bufferDevice = $0 }
            case "maxPrefillTokens":
                lmcache.maximumPrefillTokens = reader.integer(node, at: path, in: 1...(1 << 30))
            case "concurrency": reader.integer(node, at: path, in: 1...4096).map { lmcache.concurrency = $0 }
            case "allocationTimeout": reader.duration(node, at: path).map { lmcache.allocationTimeout = $0 }
            case "hashAlgorithm": reader.string(node, at: path).map { lmcache.hashAlgorithm = $0 }
            case "storesOnFirstRankOnly": storesOnFirstRankOnly = reader.bool(node, at: path)
            case "changeRoles": reader.bool(node, at: path).map { lmcache.enginesChangeRoles = $0 }
            case "cpuTier": reader.bytes(node, at: path, minimum: 0).map { lmcache.tiers.cpuBytes = $0 }
            case "diskTierPath": lmcache.tiers.diskPath = reader.string(node, at: path)
            case "diskTier": reader.bytes(node, at: path, minimum: 0).map { lmcache.tiers.diskBytes = $0 }
            case "remoteStore": lmcache.tiers.remoteURL = reader.string(node, at: path)
            case "server": reader.endpoint(node, at: path, ports: 1...65535).map { lmcache.server = $0 }
            default: break
            }
        }
        return storesOnFirstRankOnly
    }

    /// Writes the section's lines; what is left to be computed stays out.
    static func lines(_ lmcache: LMCacheSettings) -> [String] {
        var lines: [String] = []
        if let version = lmcache.version { lines.append("  version: \"\(version)\"") }
        if let backend = lmcache.backend { lines.append("  backend: \(backend.rawValue)") }
        lines.append("  chunkSize: \(lmcache.chunkSize)")
        if let bytes = lmcache.prefillBufferBytes {
            lines.append("  prefillBufferBytes: \(ConfigText.text(bytes: bytes))")
        }
        if let bytes = lmcache.decodeBufferBytes {
            lines.append("  decodeBufferBytes: \(ConfigText.text(bytes: bytes))")
        }
        lines.append("  bufferDevice: \(lmcache.bufferDevice.rawValue)")
        if let tokens = lmcache.maximumPrefillTokens { lines.append("  maxPrefillTokens: \(tokens)") }
        lines += [
            "  concurrency: \(lmcache.concurrency)",
            "  allocationTimeout: \(ConfigText.text(lmcache.allocationTimeout))",
            "  hashAlgorithm: \(YAMLText.scalar(lmcache.hashAlgorithm))",
            "  storesOnFirstRankOnly: \(lmcache.storesOnFirstRankOnly)",
            "  changeRoles: \(lmcache.enginesChangeRoles)",
        ]
        let tiers = lmcache.tiers
        if tiers.cpuBytes > 0 { lines.append("  cpuTier: \(ConfigText.text(bytes: tiers.cpuBytes))") }
        if let path = tiers.diskPath { lines.append("  diskTierPath: \(YAMLText.scalar(path))") }
        if tiers.diskBytes > 0 { lines.append("  diskTier: \(ConfigText.text(bytes: tiers.diskBytes))") }
        if let url = tiers.remoteURL { lines.append("  remoteStore: \(YAMLText.quoted(url))") }
        lines.append("  server: \(YAMLText.quoted(lmcache.server.description))")
        return lines
    }
}
