import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import DisaggCore

/// A name server that knows one name.
private final class NameServer: Sendable {
    private let answer: NIOLockedValueBox<[Endpoint]?>
    private let channel: any Channel

    let port: Int

    init(_ name: String, _ services: [Endpoint]) async throws {
        let answer = NIOLockedValueBox<[Endpoint]?>(services)
        self.answer = answer
        channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(name: name, answer: answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    /// What it answers from now on; nil for a failure.
    func answers(_ services: [Endpoint]?) { answer.withLockedValue { $0 = services } }

    func shutdown() async { try? await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        private let name: String
        private let answer: NIOLockedValueBox<[Endpoint]?>

        init(name: String, answer: NIOLockedValueBox<[Endpoint]?>) {
            self.name = name
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            let question = Array(envelope.data.readableBytesView)
            guard question.count > 2 else { return }
            let id = UInt16(question[0]) << 8 | UInt16(question[1])
            let services = answer.withLockedValue { $0 }
            let message = DNSAnswer.message(
                id: id, flags: services == nil ? 0x8182 : 0x8180, question: name,
                services: (services ?? []).map { (0, $0.port, DNSAnswer.name($0.host)) })
            context.writeAndFlush(
                wrapOutboundOut(
                    AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: message))),
                promise: nil)
        }
    }
}

@Suite("Discovery", .serialized, .timeLimit(.minutes(2)))
struct DiscoveryTests {
    /// A decode engine that the deployment does not name.
    private func withSpareEngine(_ body: (Int) async throws -> Void) async throws {
        var configuration = SimulatedEngineConfiguration(role: .decode, handoff: .nixl)
        configuration.maximumModelLength = 300
        let engine = SimulatedEngine(configuration: configuration)
        let port = try await engine.start()
        do {
            try await body(port)
            await engine.shutdown()
        } catch {
            await engine.shutdown()
            throw error
        }
    }

    @Test("an engine that a service's records name takes part, leaves with its record, and stays while nobody answers")
    func serviceRecords() async throws {
        let name = "_vllm._tcp.decode.example"
        try await withSpareEngine { port in
            let server = try await NameServer(name, [])
            try await withAdminProxy(
                Topology(handoff: .nixl),
                settings: {
                    $0.discovery.decode = [.service(name)]
                    $0.discovery.nameserver = Endpoint(host: "127.0.0.1", port: server.port)
                    $0.discovery.interval = .milliseconds(20)
                },
                { harness, admin, _ in
                    let load = SteadyLoad(harness, clients: 3)
                    try await load.more()
                    #expect(try await admin.ids("decode") == ["decode-0"])
                    // A target that is an address, which records may not have but the lookup does not mind.
                    server.answers([Endpoint(host: "localhost", port: port)])
                    let id = "decode-localhost:\(port)"
                    try await eventually { try await admin.ids("decode").contains(id) }
                    try await eventually {
                        try await admin.call("GET", "/admin/v1/backends/\(id)").json?["picks"]?.int ?? 0 > 0
                    }
                    #expect(try await admin.call("GET", "/admin/v1/backends/\(id)").json?["source"]?.string == "dns")
                    server.answers(nil)
                    try await load.more()
                    #expect(try await admin.ids("decode").contains(id))
                    server.answers([])
                    try await eventually { try await admin.ids("decode") == ["decode-0"] }
                    try await load.more()
                    await load.expectNoFailure()
                    try await harness.settles()
                    try await harness.expectClean()
                })
            await server.shutdown()
        }
    }

    @Test("an engine in the watched file takes part; a broken file and a missing one change nothing")
    func watchedFile() async throws {
        try await withSpareEngine { port in
            let directory = try TemporaryDirectory()
            defer { directory.remove() }
            let file = directory.path + "/engines.yaml"
            try await withAdminProxy(
                Topology(handoff: .nixl),
                settings: {
                    $0.discovery.file = file
                    $0.discovery.interval = .milliseconds(20)
                },
                { harness, admin, _ in
                    let load = SteadyLoad(harness, clients: 3)
                    try await load.more()
                    try directory.write("decode: [127.0.0.1:\(port)]\n", to: "engines.yaml")
                    let id = "decode-127.0.0.1:\(port)"
                    try await eventually { try await admin.ids("decode") == ["decode-0", id] }
                    try directory.write("decode: [127.0.0.1]\n", to: "engines.yaml")
                    try await load.more(30)
                    #expect(try await admin.ids("decode") == ["decode-0", id])
                    try directory.write("decode: []\nprefill: []\n", to: "engines.yaml")
                    try await eventually { try await admin.ids("decode") == ["decode-0"] }
                    await load.expectNoFailure()
                    try await harness.settles()
                    try await harness.expectClean()
                })
        }
    }

    @Test("addresses of a name become backends with the port that was given")
    func addresses() async throws {
        var deployment = Deployment()
        deployment.handoff = .none
        deployment.discovery.decode = [.addresses(Endpoint(host: "127.0.0.1", port: 4711))]
        let logger = Logger(label: "test")
        let controller = PoolController(
            pool: BackendPool(prefill: [], decode: []), deployment: deployment, logger: logger)
        let discovery = Discovery(deployment: deployment, controller: controller, logger: logger)
        await discovery.refresh()
        #expect(await controller.list().map(\.backend.id) == ["decode-127.0.0.1:4711"])
    }

    @Test("an engine that pings is a backend with the KV address that it told, until it is silent")
    func registrations() async throws {
        var deployment = Deployment()
        deployment.handoff = .none
        let logger = Logger(label: "test")
        let controller = PoolController(
            pool: BackendPool(prefill: [], decode: []), deployment: deployment, logger: logger)
        let registrations = Registrations(deployment: deployment, controller: controller)
        let listener = RegistrationListener(
            endpoint: Endpoint(host: "127.0.0.1", port: 0), group: MultiThreadedEventLoopGroup.singleton,
            expiry: .milliseconds(300), logger: logger
        ) { registrations.heard($0) }
        let port = try await listener.start()
        let following = Task { await registrations.run() }
        let sender = PingSender(
            to: Endpoint(host: "127.0.0.1", port: port), group: MultiThreadedEventLoopGroup.singleton)
        var engine = EngineRegistration(
            role: .decode, http: Endpoint(host: "10.0.0.7", port: 8200),
            zmqAddress: "host:10.1.0.7,handshake:6301,notify:61005")
        engine.tensorParallel = 2
        sender.start(engine, every: .milliseconds(20))
        try await eventually { await controller.list().map(\.backend.id) == ["decode-10.0.0.7:8200"] }
        let transfer = try #require(await controller.list().first?.backend.transfer)
        #expect(transfer.host == "10.1.0.7" && transfer.handshakePort == 6301 && transfer.notifyPort == 61005)
        await sender.shutdown()
        try await eventually { await controller.list().isEmpty }
        following.cancel()
        await following.value
        await listener.shutdown()
    }

    @Test("a list of engines is read with all its mistakes at once")
    func listFile() throws {
        let list = try BackendListFile(
            yaml: "prefill: [10.0.0.1:8100]\ndecode:\n  - {url: 10.0.0.2:8200, init: [7300], alloc: [7400]}\n",
            fileName: "x")
        #expect(list.entries.map(\.role) == [.prefill, .decode])
        #expect(list.entries.last?.receiverPorts == ReceiverPorts(initPorts: [7300], allocPorts: [7400]))
        let error = #expect(throws: DeploymentError.self) {
            try BackendListFile(yaml: "prefil: []\ndecode: [a, {init: [0]}]\n", fileName: "x")
        }
        #expect(error?.problems.count == 4)
    }

    @Test(
        "a discovery section is read and written back",
        arguments: [
            "discovery: {prefill: [p.example:8100], decode: [_vllm._tcp.d.example], interval: 5s}",
            "discovery: {file: engines.yaml, nameserver: 127.0.0.1:5353, pings: true}",
            "proxy: {admin: off, accessLog: '-', accessLogFormat: text}",
            "proxy: {admin: 127.0.0.1:7001, adminTokenFile: /run/token}",
        ])
    func settings(yaml: String) throws {
        let deployment = try Deployment(yaml: yaml)
        #expect(deployment != Deployment())
        #expect(try Deployment(yaml: DeploymentWriter.yaml(deployment)) == deployment)
    }

    @Test(
        "a wrong discovery or admin setting is told with its place",
        arguments: [
            ("discovery: {decode: [example]}", "discovery.decode[0]"),
            ("discovery: {decode: [_vllm]}", "discovery.decode[0]"), ("discovery: {names: []}", "discovery.names"),
            ("proxy: {admin: everywhere}", "proxy.admin"), ("proxy: {accessLogFormat: xml}", "proxy.accessLogFormat"),
        ])
    func wrongSettings(yaml: String, path: String) {
        let error = #expect(throws: DeploymentError.self) { try Deployment(yaml: yaml) }
        #expect(error?.problems.map(\.path) == [path])
    }
}
