/// What an engine of the `moriio` or `p2p-nccl` hand-off says of itself every three seconds.
///
/// The body of a one-frame ZMQ message, a MessagePack map. P2pNccl sends `type`, `http_address` and `zmq_address`; MoRIIO also
/// `dp_size`, `tp_size` and `transfer_mode`. Source: vLLM 0.33.0 `moriio_connector.py` 2096-2113; vLLM before PR #44854
/// `p2p_nccl_engine.py`, `ping`.
package struct EngineRegistration: Sendable, Hashable {
    /// What the bytes of a message are.
    package enum Decoded: Sendable, Hashable {
        case registration(EngineRegistration)
        /// A map whose `type` is neither `P` nor `D`.
        case otherType
        /// Not MessagePack, not a map, or an address missing or unreadable.
        case malformed
    }

    /// Longest address taken, in bytes: it becomes part of request ids.
    private static let maximumAddressBytes = 256

    /// The half of a generation the engine serves.
    package var role: BackendRole
    /// Where its HTTP server listens.
    package var http: Endpoint
    /// Where its KV connector listens, as the engine wrote it: it goes into request ids unchanged.
    package var zmqAddress: String
    /// Data-parallel ranks, 1 where the engine does not say.
    package var dataParallel = 1
    /// Tensor-parallel ranks, 1 where the engine does not say.
    package var tensorParallel = 1
    /// `READ` or `WRITE`; nil where the engine does not say.
    package var transferMode: String?

    /// Creates a registration.
    package init(role: BackendRole, http: Endpoint, zmqAddress: String) {
        self.role = role
        self.http = http
        self.zmqAddress = zmqAddress
    }

    /// The message's bytes as the engines write them.
    package var encoded: [UInt8] {
        var output: [UInt8] = []
        MessagePackWriter.appendMapHeader(transferMode == nil ? 3 : 6, to: &output)
        for text in [
            "type", role == .prefill ? "P" : "D", "http_address", http.description, "zmq_address", zmqAddress,
        ] { MessagePackWriter.append(text, to: &output) }
        guard let transferMode else { return output }
        for (name, number) in [("dp_size", dataParallel), ("tp_size", tensorParallel)] {
            MessagePackWriter.append(name, to: &output)
            MessagePackWriter.append(number, to: &output)
        }
        MessagePackWriter.append("transfer_mode", to: &output)
        MessagePackWriter.append(transferMode, to: &output)
        return output
    }

    /// Reads a message. Keys may come in any order and others may be among them.
    package static func decode(_ bytes: [UInt8]) -> Decoded {
        do throws(MessagePackError) {
            return try read(bytes)
        } catch {
            return .malformed
        }
    }

    private static func read(_ bytes: [UInt8]) throws(MessagePackError) -> Decoded {
        var reader = MessagePackReader(bytes)
        guard let count = try reader.readMapHeader() else { return .malformed }
        var texts: [String: String] = [:]
        var numbers: [String: Int] = [:]
        for _ in 0..<count {
            guard let name = try reader.readString() else {
                try reader.skipValue()
                try reader.skipValue()
                continue
            }
            if let text = try reader.readString() {
                texts[name] = text
            } else if let number = try reader.readInt() {
                numbers[name] = number
            } else {
                try reader.skipValue()
            }
        }
        guard reader.isAtEnd, let type = texts["type"] else { return .malformed }
        guard type == "P" || type == "D" else { return .otherType }
        guard let address = texts["http_address"], let http = ConfigText.endpoint(address), http.port > 0,
            let zmq = texts["zmq_address"], isAddress(zmq)
        else { return .malformed }
        var registration = Self(role: type == "P" ? .prefill : .decode, http: http, zmqAddress: zmq)
        registration.dataParallel = min(max(1, numbers["dp_size"] ?? 1), 1024)
        registration.tensorParallel = min(max(1, numbers["tp_size"] ?? 1), 1024)
        registration.transferMode = texts["transfer_mode"].flatMap { ["READ", "WRITE"].contains($0) ? $0 : nil }
        return .registration(registration)
    }

    /// Printable ASCII that can stand in a header field and inside a JSON string as it is.
    private static func isAddress(_ text: String) -> Bool {
        (1...maximumAddressBytes).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }
}
