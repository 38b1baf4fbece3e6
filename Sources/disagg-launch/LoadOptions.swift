import ArgumentParser
import DisaggCore

/// The load, the hand-off and the policies that `predict` and `plan` are asked about.
struct LoadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Prompt tokens: 7500, 1000-2000, or 1155~0.8 (mean~variation).", valueName: "tokens"))
    var isl: String?
    @Option(help: ArgumentHelp("Answer tokens, in the same forms.", valueName: "tokens")) var osl: String?
    @Option(help: "Requests a second; plan looks for the highest one where it is left out.") var rate: Double?
    @Option(
        help: """
            Shape of the gaps between arrivals: poisson, even, or a number (below 1 for bursts). Default: even for predict, \
            poisson for plan.
            """)
    var burstiness: String?
    @Option(
        help: ArgumentHelp(
            "A trace in place of lengths and arrivals: JSON lines, a JSON list, or CSV.", valueName: "file"))
    var trace: String?
    @Option(help: "Objectives: ttft=500ms,tpot=50ms. Default: none for predict, ttft=1000ms,tpot=50ms for plan.")
    var slo: String?
    @Option(help: "The hand-off: \(HandoffKind.allCases.map(\.rawValue).joined(separator: ", ")).")
    var handoff = "lmcache"
    @Option(
        help: "Who samples the first token under lmcache. Default: prefill for predict, decode for plan.")
    var firstToken: String?
    @Option(name: .customLong("gpu-memory-utilization"), help: "Share of the GPU's memory that an engine may take.")
    var utilization = 0.9
    @Option(help: "The proxy's policy: \(PolicyKind.allCases.map(\.rawValue).joined(separator: ", ")).")
    var policy: String?
    @Option(help: ArgumentHelp("A deployment file whose section routing counts.", valueName: "file"))
    var routing: String?
    @Option(help: "Seed of arrivals and lengths.") var seed: UInt64 = 0

    /// Takes the options over; what is not given stays as it is.
    func describe(_ load: inout LoadDescription) throws(CommandError) {
        load.input = isl
        load.output = osl
        load.rate = rate
        if let burstiness { load.burstiness = burstiness }
        load.trace = try trace.map { path throws(CommandError) in (path, try HostFiles.text(path)) }
        if let slo { load.objectives = slo }
        load.handoff = handoff
        if let firstToken { load.firstToken = firstToken }
        load.utilization = utilization
        load.policy = policy
        load.deployment = routing
        load.seed = seed
    }
}
