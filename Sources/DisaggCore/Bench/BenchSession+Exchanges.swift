internal import DequeModule
internal import NIOCore

/// Requests on their way, and the connections they use.
extension BenchSession {
    func send(_ exchange: BenchExchange) {
        active[ObjectIdentifier(exchange)] = exchange
        while let connection = idle.popLast() {
            if connection.isIdle { return connection.send(exchange) }
        }
        waiting.append(exchange)
        connect()
    }

    /// Opens connections for those that wait.
    private func connect() {
        while connecting < min(waiting.count, Self.maximumConnecting) {
            connecting += 1
            let began = Self.now()
            Connector.connect(to: addresses, reactor: reactor, timeout: Self.connectTimeout) { [self] result in
                connecting -= 1
                switch result {
                case .success(let source):
                    guard phase != .over else { return source.close() }
                    let connection = BenchConnection(adopting: source, session: self)
                    all[ObjectIdentifier(connection)] = connection
                    connections += 1
                    tally.connect.record(Self.now() - began)
                    release(connection)
                    fill()
                case .failure(let reason):
                    guard let exchange = popWaiting() else { return }
                    ended(exchange, AnswerReader.Fault(kind: .connect, detail: reason.description))
                }
                connect()
            }
        }
    }

    private func popWaiting() -> BenchExchange? {
        while let first = waiting.popFirst() {
            if !first.isOver { return first }
        }
        return nil
    }

    /// Takes bytes of an answer.
    @inline(__always)
    func take(_ bytes: UnsafeRawBufferPointer, at now: Int, for exchange: BenchExchange) {
        let before = exchange.answer.countedTokens
        let isFirst = exchange.answer.firstTokenAt == nil
        exchange.answer.take(bytes, at: now) { gap in
            tally.itl.record(gap)
            tally.timeline.note(at: now) { $0.itl.add(gap) }
        }
        let tokens = exchange.answer.countedTokens - before
        guard tokens > 0 else { return }
        tally.arrivedTokens += tokens
        tally.timeline.tokens(tokens, at: now)
        if isFirst { tally.timeline.note(at: now) { $0.ttft.add(now - exchange.startedAt) } }
    }

    /// A connection can take another request.
    func release(_ connection: BenchConnection) {
        guard phase != .over else { return connection.shut() }
        if let exchange = popWaiting() { connection.send(exchange) } else { idle.append(connection) }
    }

    func forget(_ connection: BenchConnection) {
        all[ObjectIdentifier(connection)] = nil
        if let index = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: index) }
    }

    /// Sends a request again whose idle connection had been closed; once, on a fresh one.
    func retry(_ exchange: BenchExchange, _ reason: String) {
        guard !exchange.isOver else { return }
        guard !exchange.wasRetried else {
            return ended(exchange, AnswerReader.Fault(kind: .truncated, detail: "\(reason) before the answer, twice"))
        }
        exchange.wasRetried = true
        tally.retries += 1
        waiting.append(exchange)
        connect()
    }

    /// An exchange's outcome is known.
    func ended(_ exchange: BenchExchange, _ fault: AnswerReader.Fault?) {
        guard !exchange.isOver else { return }
        exchange.isOver = true
        active[ObjectIdentifier(exchange)] = nil
        exchange.completion(exchange, fault)
    }
}
