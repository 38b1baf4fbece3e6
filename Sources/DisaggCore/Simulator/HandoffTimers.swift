/// The time limits that engines' KV connectors have, each with the default of the real one.
package struct HandoffTimers: Sendable, Hashable {
    /// NIXL, push included: how long a finished prefill's blocks wait for their reader (`kv_lease_duration`).
    package var nixlLease = Duration.seconds(30)
    /// NIXL: how long a decoder keeps a turn's blocks for the next one (`decoder_kv_blocks_ttl`).
    package var nixlTurn = Duration.seconds(480)
    /// NIXL push: how long a decoder waits to be written to (`push_registration_timeout`).
    package var pushRegistration = Duration.seconds(480)
    /// Mooncake: how long a prefill waits to be read (`VLLM_MOONCAKE_ABORT_REQUEST_TIMEOUT`).
    package var mooncakeAbort = Duration.seconds(480)
    /// Mooncake: how long a decoder waits for its KV.
    package var mooncakeReceive = Duration.seconds(540)
    /// MoRIIO, write: how long a prefill waits for the decoder's block notification (`defer_timeout`).
    package var moriioDefer = Duration.seconds(60)
    /// MoRIIO, write: how long a decoder waits for its KV (`recv_abort_timeout`).
    package var moriioReceive = Duration.seconds(120)
    /// MoRIIO, read: how long a prefill waits to be read.
    package var moriioRead = Duration.seconds(3600)
    /// Offloading P2P: how long a producer keeps what nobody claims (`unbound_store_timeout_s`).
    package var offloadUnclaimed = Duration.seconds(60)
    /// Offloading P2P: how long a consumer waits before it computes the prompt itself.
    package var offloadLoad = Duration.seconds(30)
    /// SGLang: how long each leg waits for the other (`SGLANG_DISAGGREGATION_WAITING_TIMEOUT`).
    package var sglangWaiting = Duration.seconds(300)
    /// TensorRT-LLM: how long a context server keeps what no generation server reads, and each waits for the other. The
    /// real value is not known.
    package var tensorRT = Duration.seconds(60)
    /// MoRIIO and P2pNccl: between two registration pings.
    package var ping = Duration.seconds(3)

    /// Creates the defaults.
    package init() {}

    /// All limits times a factor, none below a millisecond: a thousandth lets a test see each of them run out.
    package func scaled(by factor: Double) -> HandoffTimers {
        var copy = self
        for path in Self.all {
            let seconds =
                Double(copy[keyPath: path].components.seconds)
                + Double(copy[keyPath: path].components.attoseconds) / 1e18
            copy[keyPath: path] = max(.milliseconds(1), .nanoseconds(Int64(min(seconds * factor * 1e9, 1e18))))
        }
        return copy
    }

    private static var all: [WritableKeyPath<HandoffTimers, Duration>] {
        [
            \.nixlLease, \.nixlTurn, \.pushRegistration, \.mooncakeAbort, \.mooncakeReceive, \.moriioDefer,
            \.moriioReceive, \.moriioRead, \.offloadUnclaimed, \.offloadLoad, \.sglangWaiting, \.tensorRT, \.ping,
        ]
    }
}
