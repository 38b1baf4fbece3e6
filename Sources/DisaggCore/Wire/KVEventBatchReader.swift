/// Reads a batch of KV events out of MessagePack. It never traps, and gives up on batches beyond its limits.
package enum KVEventBatchReader {
    /// Most blocks of one event; a step of a large engine has some thousands.
    package static let maximumBlocks = 1 << 17
    /// Most tokens of one event.
    package static let maximumTokens = 1 << 21

    /// The members of a batch and of its events that matter, in the order in which arrays have them.
    private static let batchFields = ["ts", "events", "data_parallel_rank"]
    private static let storedFields = [
        "block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium", "lora_name", "extra_keys",
        "group_idx",
    ]
    private static let removedFields = ["block_hashes", "medium", "group_idx"]

    /// Reads a payload.
    ///
    /// - Returns: the events on the GPU tier, in order; those of other tiers are left out.
    package static func read(_ payload: [UInt8]) throws(KVEventError) -> [KVEvent] {
        do throws(MessagePackError) {
            var reader = MessagePackReader(payload)
            var events: [KVEvent] = []
            let isBatch = try forEachField(&reader, batchFields) { reader, name throws(MessagePackError) in
                guard name == "events", case .array(let count) = try reader.readValue() else {
                    if name != "events" { try reader.skipValue() }
                    return
                }
                for _ in 0..<count {
                    if let event = try readEvent(&reader) { events.append(event) }
                }
            }
            guard isBatch else { throw MessagePackError.truncated }
            return events
        } catch {
            throw .malformed(error)
        }
    }

    /// Calls `body` at the value of each field of an array or a map.
    ///
    /// - Returns: false, with the value read, where it is neither.
    private static func forEachField(
        _ reader: inout MessagePackReader, _ fields: [String],
        _ body: (inout MessagePackReader, String) throws(MessagePackError) -> Void
    ) throws(MessagePackError) -> Bool {
        switch try reader.readValue() {
        case .array(let count):
            for index in 0..<count {
                if index < fields.count { try body(&reader, fields[index]) } else { try reader.skipValue() }
            }
            return true
        case .map(let count):
            for _ in 0..<count {
                if let name = try reader.readString() {
                    try body(&reader, name)
                } else {
                    try reader.skipValue()
                    try reader.skipValue()
                }
            }
            return true
        default: return false
        }
    }

    private static func readEvent(_ reader: inout MessagePackReader) throws(MessagePackError) -> KVEvent? {
        var type = ""
        var stored = KVStoredBlocks()
        var isOnGPU = true
        var isFirstGroup = true
        // An array begins with the type; its fields follow. A map has it under "type", first.
        var fields = ["type"]
        switch try reader.readValue() {
        case .array(let count):
            for index in 0..<count {
                if index == 0 {
                    type = try reader.readString() ?? ""
                    fields = type == "BlockRemoved" ? removedFields : storedFields
                } else if index - 1 < fields.count {
                    try readField(&reader, fields[index - 1], &stored, &isOnGPU, &isFirstGroup)
                } else {
                    try reader.skipValue()
                }
            }
        case .map(let count):
            for _ in 0..<count {
                guard let name = try reader.readString() else {
                    try reader.skipValue()
                    try reader.skipValue()
                    continue
                }
                if name == "type" {
                    type = try reader.readString() ?? ""
                } else {
                    try readField(&reader, name, &stored, &isOnGPU, &isFirstGroup)
                }
            }
        default: return nil
        }
        guard isOnGPU, isFirstGroup else { return nil }
        switch type {
        case "BlockStored":
            guard stored.blockSize > 0, stored.blockSize <= maximumTokens,
                stored.tokens.count / stored.blockSize >= stored.hashes.count
            else { return nil }
            return .stored(stored)
        case "BlockRemoved": return .removed(stored.hashes)
        case "AllBlocksCleared": return .cleared
        default: return nil
        }
    }

    private static func readField(
        _ reader: inout MessagePackReader, _ name: String, _ stored: inout KVStoredBlocks, _ isOnGPU: inout Bool,
        _ isFirstGroup: inout Bool
    ) throws(MessagePackError) {
        switch name {
        case "block_hashes": stored.hashes = try readHashes(&reader)
        case "parent_block_hash": stored.parent = try readHash(&reader)
        case "token_ids": stored.tokens = try readTokens(&reader)
        case "block_size":
            if case .integer(let value) = try reader.readValue() { stored.blockSize = Int(clamping: value) }
        case "medium": if let medium = try readText(&reader) { isOnGPU = medium == "GPU" }
        case "lora_name": stored.lora = try readText(&reader)
        case "extra_keys": stored.hasExtraKeys = try readExtraKeys(&reader)
        case "group_idx": if case .integer(let group) = try reader.readValue() { isFirstGroup = group == 0 }
        default: try reader.skipValue()
        }
    }

    private static func readText(_ reader: inout MessagePackReader) throws(MessagePackError) -> String? {
        if let text = try reader.readString() { return text }
        try reader.skipValue()
        return nil
    }

    private static func readHash(_ reader: inout MessagePackReader) throws(MessagePackError) -> UInt64? {
        switch try reader.readValue() {
        case .integer(let value): return UInt64(bitPattern: value)
        case .bytes(let bytes): return bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        case .array(let count), .map(let count):
            for _ in 0..<count { try reader.skipValue() }
            return nil
        case .null, .other: return nil
        }
    }

    private static func readHashes(_ reader: inout MessagePackReader) throws(MessagePackError) -> [UInt64] {
        guard case .array(let count) = try reader.readValue() else { return [] }
        guard count <= maximumBlocks else { throw .tooDeep }
        var hashes: [UInt64] = []
        for _ in 0..<count { if let hash = try readHash(&reader) { hashes.append(hash) } }
        return hashes
    }

    private static func readTokens(_ reader: inout MessagePackReader) throws(MessagePackError) -> [Int32] {
        guard case .array(let count) = try reader.readValue() else { return [] }
        guard count <= maximumTokens else { throw .tooDeep }
        var tokens: [Int32] = []
        for _ in 0..<count {
            if case .integer(let value) = try reader.readValue() { tokens.append(Int32(clamping: value)) }
        }
        return tokens
    }

    /// Whether any block has other keys than its tokens. A LoRA's name is one of them and stands in its own field.
    private static func readExtraKeys(_ reader: inout MessagePackReader) throws(MessagePackError) -> Bool {
        guard case .array(let count) = try reader.readValue() else { return false }
        var hasKeys = false
        for _ in 0..<count {
            if case .array(let keys) = try reader.readValue() {
                hasKeys = hasKeys || keys > 0
                for _ in 0..<keys { try reader.skipValue() }
            }
        }
        return hasKeys
    }
}
