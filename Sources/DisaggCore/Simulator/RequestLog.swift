import DequeModule

/// What `GET /sim/requests` shows: how many generation requests came, and the last bodies.
struct RequestLog {
    /// Longest body kept, in bytes.
    private static let maximumBodyBytes = 256 << 10

    private(set) var total = 0
    private(set) var completions = 0
    private(set) var chats = 0
    private(set) var others = 0
    /// Answered with a status of 400 or more.
    var rejected = 0
    /// Clients that left before the end of the answer.
    var aborted = 0
    private(set) var bodies: Deque<String> = []
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    mutating func add(_ body: [UInt8], endpoint: SimulatedRequest.Endpoint) {
        total += 1
        switch endpoint {
        case .completion: completions += 1
        case .chat: chats += 1
        case .responses, .messages, .tokens, .native: others += 1
        }
        guard capacity > 0 else { return }
        if bodies.count == capacity { bodies.removeFirst() }
        bodies.append(String(decoding: body.prefix(Self.maximumBodyBytes), as: UTF8.self))
    }

    func json(role: String) -> String {
        #"{"role":"\#(role)","total":\#(total),"completions":\#(completions),"chats":\#(chats),"others":\#(others),"#
            + #""rejected":\#(rejected),"aborted":\#(aborted),"#
            + #""bodies":[\#(bodies.map { JSONString.encode($0) }.joined(separator: ","))]}"#
    }
}
