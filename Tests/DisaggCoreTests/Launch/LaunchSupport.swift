import Glibc
import NIOCore
import Synchronization
import Testing

@testable import DisaggCore

/// A directory, free ports and a deployment of fake engines, all of one test.
final class LaunchScene: Sendable {
    /// Scratch directory of the test.
    let directory: String
    /// Marks the environment of every process the test starts.
    let mark = "scene-\(UInt64.random(in: .min ... .max))"
    /// What the launcher printed.
    let output = Mutex("")

    init() throws {
        directory = "/tmp/disagg-launch-test-\(UInt64.random(in: .min ... .max))"
        try RunDirectory.create(directory)
    }

    static let root: String = {
        // …/Tests/DisaggCoreTests/Launch/LaunchSupport.swift
        #filePath.split(separator: "/").dropLast(4).map { "/\($0)" }.joined()
    }()
    static let fakes = root + "/Tests/Clients/fake-vllm"
    static let launcher: String? = {
        let beside = ExecutableSearch.running.map { ExecutableSearch.sibling("disagg-launch", of: $0) }
        return [beside, root + "/.build/debug/disagg-launch"].compactMap { $0 }.first(
            where: ExecutableSearch.isExecutable)
    }()

    /// Writes a shell script that can be run into the directory.
    func program(_ name: String, _ script: String) throws {
        let path = "\(directory)/\(name)"
        try RunDirectory.write(.init(path: path, contents: "#!/bin/sh\n\(script)\n"))
        #expect(chmod(path, 0o755) == 0)
    }

    var events: [String] {
        (ProcFile.text(directory + "/events") ?? "").split(separator: "\n").map(String.init)
    }

    /// Ports that nobody uses, all held until the last is known. They lie below those that the system gives to outgoing
    /// connections: one of those may be taken by any test between this call and the bind that it is for.
    static func freePorts(_ count: Int) -> [Int] {
        var held: [(descriptor: Int32, port: Int)] = []
        defer { for socket in held { close(socket.descriptor) } }
        while held.count < count {
            if let socket = boundSocket(port: .random(in: 12_000..<32_000)) { held.append(socket) }
        }
        return held.map(\.port)
    }

    /// The first of so many free ports in a row.
    static func freeRun(_ length: Int) -> Int {
        for _ in 0..<100 {
            guard let first = freePorts(1).first, first + length < 65536 else { continue }
            let others = (first + 1..<first + max(1, length)).map { boundSocket(port: $0) }
            for other in others { if let other { close(other.descriptor) } }
            if others.allSatisfy({ $0 != nil }) { return first }
        }
        return 0
    }

    /// A socket bound to a port of loopback, and the port; nil where it is taken.
    static func boundSocket(port: Int) -> (descriptor: Int32, port: Int)? {
        guard let address = try? SocketAddress(ipAddress: "127.0.0.1", port: port) else { return nil }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard address.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else {
            close(descriptor)
            return nil
        }
        return (descriptor, port)
    }

    /// Writes a deployment file of fake vLLM engines on free ports.
    ///
    /// - Parameter proxy: more lines of the file.
    func write(
        _ prefill: [String: String] = [:], decode: [String: String] = [:], proxy: String = "", prefills: Int = 1
    ) throws -> String {
        // Engine i of a group listens on the group's port plus i.
        let first = Self.freeRun(prefills)
        let others = Self.freePorts(6 + prefills).filter { !(first..<first + prefills).contains($0) }
        let ports = [first] + others.prefix(5)
        func environment(_ extra: [String: String]) -> String {
            var all = extra
            all["FAKE_EVENTS"] = directory + "/events"
            all["FAKE_SCENE"] = mark
            return all.sorted { $0.key < $1.key }.map { "\($0.key): \"\($0.value)\"" }.joined(separator: ", ")
        }
        let file = EngineCommand.File(
            path: directory + "/disagg.yaml",
            contents: """
                model: fake/model
                engine: vllm
                prefill: {replicas: \(prefills), port: \(ports[0]), env: {\(environment(prefill))}}
                decode: {port: \(ports[1]), initPort: \(ports[2]), allocPort: \(ports[3]), env: {\(environment(decode))}}
                proxy:
                  listen: 127.0.0.1:\(ports[4])
                  admin: off
                  notify: 127.0.0.1:\(ports[5])
                \(proxy)
                """)
        try RunDirectory.write(file)
        return file.path
    }

    func plan(_ file: String) async throws -> LaunchPlan {
        var request = LaunchRequest(source: file)
        request.directory = directory + "/logs"
        request.searchPath = Self.fakes
        request.proxy = Self.fakes + "/disagg-proxy"
        var plan = try await request.plan(dryRun: false) { _ in }
        plan.processes[0].command.environment["FAKE_EVENTS"] = directory + "/events"
        plan.processes[0].command.environment["FAKE_SCENE"] = mark
        return plan
    }

    /// Settings with short times.
    static func settings(_ change: (inout Launcher.Settings) -> Void = { _ in }) -> Launcher.Settings {
        var settings = Launcher.Settings()
        settings.probeInterval = .milliseconds(30)
        settings.healthInterval = .milliseconds(50)
        settings.rotationInterval = .milliseconds(50)
        settings.restarts.firstDelay = .milliseconds(20)
        settings.source = "test.yaml"
        change(&settings)
        return settings
    }

    /// Runs a plan; `body` may stop it through the continuation.
    func run(
        _ plan: LaunchPlan, _ settings: Launcher.Settings = LaunchScene.settings(),
        _ body: @escaping @Sendable (AsyncStream<Void>.Continuation) async throws -> Void = { _ in }
    ) async throws -> Int32 {
        let lock = try await Launcher.prepare(plan, directory: directory + "/logs", rotation: settings.rotation)
        let launcher = Launcher(plan, directory: directory + "/logs", settings: settings)
        let (stops, stop) = AsyncStream.makeStream(of: Void.self)
        async let status = launcher.run(stopRequests: stops, console: console)
        do {
            try await body(stop)
        } catch {
            // A condition that never came must not leave processes or wait for ever.
            stop.yield()
            stop.yield()
        }
        let result = await status
        withExtendedLifetime(lock) {}
        return result
    }

    var console: LaunchConsole {
        LaunchConsole(
            .init(
                output: { text in self.output.withLock { $0 += text } },
                error: { text in self.output.withLock { $0 += text } }))
    }

    /// Waits for something outside this process, at most 20 s.
    func wait(_ what: String, until condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition() {
            guard ContinuousClock.now < deadline else {
                let printed = output.withLock { $0 } + (ProcFile.text(directory + "/launcher.log") ?? "")
                Issue.record("timed out waiting for \(what); output: \(printed)")
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The processes of this test that still live.
    var survivors: [Int32] {
        ProcFile.processes.filter { process in
            guard let stat = ProcFile.text("/proc/\(process)/stat"), !stat.contains(") Z "),
                let environment = ProcFile.text("/proc/\(process)/environ")
            else { return false }
            return environment.contains("FAKE_SCENE=\(mark)\0")
        }
    }

    func contains(_ text: String) -> Bool { output.withLock { $0.contains(text) } }
}
