/// What to do next, as the machine sees it. Empty means: wait for the next input.
package struct HandoffActions: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Send the prefill.
    package static let openPrefill = Self(rawValue: 1 << 0)
    /// Close the prefill's connection.
    package static let cancelPrefill = Self(rawValue: 1 << 1)
    /// Start waiting for notifications against their deadline.
    package static let awaitNotices = Self(rawValue: 1 << 2)
    /// Send the decode with what the prefill left.
    package static let openDecode = Self(rawValue: 1 << 3)
    /// Send the request to the decoder alone.
    package static let openDecodeAlone = Self(rawValue: 1 << 4)
    /// Close the decode's connection.
    package static let cancelDecode = Self(rawValue: 1 << 5)
    /// Free what the prefill left behind.
    package static let release = Self(rawValue: 1 << 6)
    /// Choose another decoder, then send the decode again.
    package static let retryDecode = Self(rawValue: 1 << 7)
    /// Choose another pair, draw a fresh id, then start again.
    package static let retryPair = Self(rawValue: 1 << 8)
    /// Relay the decoder's answer from its head on.
    package static let relayDecode = Self(rawValue: 1 << 9)
    /// Answer the client with the prefill's answer.
    package static let answerFromPrefill = Self(rawValue: 1 << 10)
    /// Answer the client with an error; nothing was sent to it yet.
    package static let fail = Self(rawValue: 1 << 11)
    /// End a stream that has begun with an error event.
    package static let breakStream = Self(rawValue: 1 << 12)
    /// The request is over; no leg is open.
    package static let finish = Self(rawValue: 1 << 13)
    /// Notifications of this attempt that still come announce KV nobody will use: free it then.
    package static let expectStrays = Self(rawValue: 1 << 14)
    /// Choose another decoder, then let it go on where the last one's stream broke.
    package static let resumeDecode = Self(rawValue: 1 << 15)
}

extension [HandoffActions] {
    /// The union of all.
    var merged: HandoffActions { reduce(into: []) { $0.formUnion($1) } }
}
