internal import Logging

/// Where a proxy's deployment comes from, to read it again.
package struct DeploymentSource: Sendable {
    /// The deployment file.
    package var file: String
    /// Reads the file and applies what the command line changes.
    package var load: @Sendable () throws -> Deployment
    /// Whether the file is read again whenever it changes.
    package var isWatched: Bool

    package init(file: String, isWatched: Bool, load: @escaping @Sendable () throws -> Deployment) {
        self.file = file
        self.isWatched = isWatched
        self.load = load
    }
}

/// Takes a changed deployment file over while the proxy runs: as a whole, or not at all.
actor Reloader {
    private static let lookInterval = Duration.seconds(1)

    private let source: DeploymentSource?
    private let core: ProxyCore
    private let logger: Logger
    private var present: Deployment
    private var running: Task<ReloadOutcome, Never>?
    /// The file as it was when the deployment was read.
    private var mark: FileMark?
    private(set) var last: ReloadOutcome

    init(source: DeploymentSource?, core: ProxyCore) {
        self.source = source
        self.core = core
        logger = core.shared.logger
        present = core.shared.deployment
        last = ReloadOutcome(file: source?.file)
        mark = source.flatMap { FileMark($0.file) }
    }

    /// Reads the file and takes it over; one after the other where several ask.
    func reload() async -> ReloadOutcome {
        let former = running
        let task = Task {
            _ = await former?.value
            return await self.reloadNow()
        }
        running = task
        return await task.value
    }

    /// Looks at the file until it is cancelled, where it is watched.
    func watch() async {
        guard let source, source.isWatched else { return }
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.lookInterval) } catch { return }
            let now = FileMark(source.file)
            guard now != mark, now != nil else { continue }
            mark = now
            _ = await reload()
        }
    }

    private func reloadNow() async -> ReloadOutcome {
        var outcome = ReloadOutcome(file: source?.file, time: UTCTime.now)
        do throws(DisaggError) {
            let next = try read()
            let change = try DeploymentChange(from: present, to: next)
            outcome.changed = change.changed
            await core.use(next.proxy)
            let moved = await core.controller.apply(
                next.backends(.prefill) + next.backends(.decode), from: .deployment)
            outcome.added = moved.added
            outcome.leaving = moved.leaving
            present = next
            logger.info(
                "deployment taken over",
                metadata: [
                    "disagg.file": "\(source?.file ?? "-")", "disagg.added": "\(moved.added.joined(separator: " "))",
                    "disagg.leaving": "\(moved.leaving.joined(separator: " "))",
                    "disagg.changed": "\(change.changed.joined(separator: " "))",
                ])
        } catch {
            outcome.error = error.message
            logger.error("deployment refused, the former one stays in force: \(error.message)")
        }
        last = outcome
        return outcome
    }

    private func read() throws(DisaggError) -> Deployment {
        guard let source else {
            throw DisaggError(.conflict, "the proxy was started without a deployment file, so there is none to read")
        }
        do {
            return try source.load()
        } catch let error as DisaggError {
            throw error
        } catch {
            throw DisaggError(.badRequest, "\(error)")
        }
    }
}
