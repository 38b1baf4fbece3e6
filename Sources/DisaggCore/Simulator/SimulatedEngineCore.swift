import DequeModule
import NIOCore

/// C's `struct linger` with a linger time of 0 s.
private struct LingerZero {
    var isOn: CInt = 1
    var seconds: CInt = 0
}

/// The state of one simulated engine; lives on one event loop and never leaves it.
///
/// This file has its life and death; requests are in `SimulatedEngineCore+Requests.swift`, the hand-off's engine side
/// is an ``EngineSide``, what operators and tests see in `SimulatedEngineCore+Routes.swift`.
final class SimulatedEngineCore {
    let configuration: SimulatedEngineConfiguration
    let loop: any EventLoop
    let scheduler: StepScheduler
    let parser: SimulatedRequestParser
    let startTime = HTTPDate.now()
    var ledger = KVLedger()
    var metrics = EngineMetrics()
    var log: RequestLog
    var faults = SimulatedFaults()
    /// Answers of `/v1/responses` that clients may ask for again.
    var responses = StoredResponses()
    var ports = SimulatedEnginePorts(http: 0)
    /// Where `lmcache-mp` workers report.
    var telemetry: Endpoint?
    /// Requests admitted and not answered.
    var active: [ObjectIdentifier: ActiveRequest] = [:]
    /// Requests that a fault leaves without an answer.
    var hanging: [SimulatedExchange] = []
    /// There was such a request.
    var hasHung = false
    var random = SystemRandomNumberGenerator()

    /// The hand-off's engine side; nil where there is none.
    private(set) var side: (any EngineSide)?
    /// Sends `ProxyNotif`: rank and request id.
    var sendNotification: (_ rank: Int, _ requestID: String) -> Void = { _, _ in }

    private var listeners: [any Channel] = []
    private var connections: [ObjectIdentifier: (channel: any Channel, handler: SimulatedHTTPHandler?)] = [:]
    private(set) var isClosed = false
    private var dateCache = (seconds: 0, text: "")

    init(configuration: SimulatedEngineConfiguration, loop: any EventLoop) {
        self.configuration = configuration
        self.loop = loop
        scheduler = StepScheduler(
            loop: loop,
            timing: configuration.role == .decode
                ? configuration.timing.receiving(configuration.handoff, firstToken: configuration.firstToken)
                : configuration.timing, speed: configuration.speed,
            maximumRunning: configuration.maximumRunning)
        parser = SimulatedRequestParser(
            model: configuration.model, maximumModelLength: configuration.maximumModelLength)
        log = RequestLog(capacity: configuration.loggedBodies)
        scheduler.onPrefilled = { [weak self] request, run in
            guard let side = self?.side else { return run() }
            side.prefilled(request, run: run)
        }
        scheduler.onStepped = { [weak self] in self?.stepped($0) }
        telemetry = configuration.telemetry
        side = EngineSides.make(self)
        if let notify = configuration.notify, let endpoint = configuration.notifyEndpoint {
            sendNotification = { rank, id in notify(endpoint.host, endpoint.port, rank, id) }
        }
    }

    /// The `date` header's value, made once a second.
    func date() -> String {
        let now = HTTPDate.now()
        if now != dateCache.seconds { dateCache = (now, HTTPDate.format(now)) }
        return dateCache.text
    }

    /// Random hex digits, as vLLM's ids have.
    func randomHex(_ digits: Int) -> String {
        let value = random.next() & (digits >= 16 ? .max : (UInt64(1) << UInt64(4 * digits)) - 1)
        let text = String(value, radix: 16)
        return String(repeating: "0", count: digits - text.count) + text
    }

    // MARK: Connections

    func listening(_ channel: any Channel) { listeners.append(channel) }

    func opened(_ channel: any Channel, handler: SimulatedHTTPHandler?) {
        connections[ObjectIdentifier(channel)] = (channel, handler)
        if isClosed { channel.close(promise: nil) }
    }

    func closed(_ channel: any Channel) { connections[ObjectIdentifier(channel)] = nil }

    /// Closes connections that carry no request, as uvicorn does when they were idle too long.
    func closeIdleConnections() {
        for (channel, handler) in connections.values where handler?.isIdle == true { channel.close(promise: nil) }
    }

    // MARK: Death

    /// The engine core dies: every request fails with fixture 30's answer, and soon the server goes too.
    func crash() {
        guard !ledger.dead else { return }
        ledger.dead = true
        let requests = Array(active.values)
        active = [:]
        for request in requests { request.fail(.engineDead) }
        scheduler.close()
        loop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.deathDelay)) { self.close(resetting: false) }
    }

    /// The process is gone: nothing is answered, connections are reset.
    func die() {
        ledger.dead = true
        ledger.killed = true
        close(resetting: true)
    }

    /// Stops listening and closes all connections.
    func close(resetting: Bool) {
        guard !isClosed else { return }
        isClosed = true
        scheduler.close()
        active = [:]
        hanging = []
        side?.close()
        for listener in listeners { listener.close(promise: nil) }
        for (channel, _) in connections.values {
            if resetting, let socket = channel as? any SocketOptionProvider {
                // With a linger time of 0 the kernel sends RST instead of FIN.
                socket.unsafeSetSocketOption(level: .socket, name: .so_linger, value: LingerZero())
                    .whenComplete { _ in channel.close(promise: nil) }
            } else {
                channel.close(promise: nil)
            }
        }
        listeners = []
    }
}
