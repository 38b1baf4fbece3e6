/// A discrete-event simulation of a deployment: arrivals, the proxy's choices, prefill engines, hand-offs, decode engines.
///
/// Decode engines are advanced only when somebody looks at them, so a step costs some tens of nanoseconds and events are
/// only arrivals and the ends of prefill steps. The same requests and settings give the same result to the last bit.
package struct ClusterSimulation<Timing: StepTiming> {
    /// Engines that are alike.
    package typealias Part = (timing: Timing, limits: EngineLimits, count: Int)

    private let prefill: Part?
    private let decode: Part
    private let handoff: HandoffProfile?
    private let proxy: ClusterRouter.Settings

    /// Creates a cluster with prefill and decode engines.
    package init(
        prefill: Part, decode: Part, handoff: HandoffProfile, proxy: ClusterRouter.Settings = ClusterRouter.Settings()
    ) {
        self.prefill = prefill
        self.decode = decode
        self.handoff = handoff
        self.proxy = proxy
    }

    /// Creates a cluster of engines that do both.
    package init(engines: Part, proxy: ClusterRouter.Settings = ClusterRouter.Settings()) {
        prefill = nil
        decode = engines
        handoff = nil
        self.proxy = proxy
    }

    /// Runs requests, which come in order of arrival, to their ends.
    package func run(_ requests: [WorkloadRequest]) -> SimulationResult {
        let run: ClusterRun<Timing>
        if let prefill, let handoff {
            let router = ClusterRouter(prefills: max(1, prefill.count), decodes: decode.count, proxy)
            run = ClusterRun(requests, prefill: prefill, decode: decode, handoff: handoff, router: router)
        } else {
            run = ClusterRun(
                requests, engines: decode, router: ClusterRouter(prefills: 0, decodes: decode.count, proxy))
        }
        run.run()
        return run.result
    }
}
