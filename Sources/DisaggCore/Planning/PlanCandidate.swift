/// A layout and what it gives.
public struct PlanCandidate: Sendable {
    /// The layout.
    public var layout: PlanLayout
    /// Requests a second that it sustains within the objectives: by formula, then by simulation.
    public var goodput: Double
    /// Whether ``goodput`` was simulated.
    public var isSimulated = false
    /// What clients see at the needed rate, or at ``goodput``.
    public var report: SimulationReport?

    /// Requests a second and GPU.
    public var goodputPerGPU: Double { goodput / Double(max(1, layout.gpus)) }
}
