internal import NIOConcurrencyHelpers

/// The block tables of all engines of a role, written by their subscriptions and read by picks.
package final class KVEventIndex: Sendable {
    private struct Tables {
        var bySerial: [Int: KVBlockTable] = [:]
    }

    private let tables = NIOLockedValueBox(Tables())
    private let maximumBlocks: Int

    /// - Parameter maximumBlocks: most blocks of one engine.
    package init(maximumBlocks: Int) { self.maximumBlocks = maximumBlocks }

    /// Takes a batch of an engine's events in.
    package func apply(_ events: [KVEvent], serial: Int) {
        tables.withLockedValue { tables in
            var table = tables.bySerial.removeValue(forKey: serial) ?? KVBlockTable(maximumBlocks: maximumBlocks)
            for event in events { table.apply(event) }
            tables.bySerial[serial] = table
        }
    }

    /// Forgets what an engine holds.
    package func reset(serial: Int) { tables.withLockedValue { _ = $0.bySerial.removeValue(forKey: serial) } }

    /// Tokens of a prompt that an engine holds; nil where nothing is known of the engine.
    package func heldTokens(_ request: RequestFacts, serial: Int, keys: inout (blockSize: Int, keys: [UInt64])) -> Int?
    {
        tables.withLockedValue { tables in
            guard let table = tables.bySerial[serial], let blockSize = table.blockSize else { return nil }
            if keys.blockSize != blockSize {
                keys = (blockSize, KVBlockTable.keys(of: request.tokenIDs, blockSize: blockSize, lora: request.lora))
            }
            return table.heldTokens(keys.keys)
        }
    }

    /// Blocks and bytes of all tables.
    package var size: (blocks: Int, bytes: Int) {
        tables.withLockedValue { tables in
            (tables.bySerial.values.reduce(0) { $0 + $1.count }, tables.bySerial.values.reduce(0) { $0 + $1.bytes })
        }
    }
}
