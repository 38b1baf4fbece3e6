/// Says in words why a plan is what it is.
enum PlanExplanation {
    /// The sentences, the most important first.
    static func sentences(
        _ result: PlanResult, shortages: [Int: PlanShortage], failures: [PlanShortage]
    ) -> [String] {
        let request = result.request
        guard let best = result.best else { return infeasible(result, shortages: shortages, failures: failures) }
        var text: [String] = []
        let layout = best.layout
        if request.isRateGiven, best.goodput < request.workload.rate {
            text.append(
                "No layout of \(request.gpus) GPUs sustains \(number(request.workload.rate)) requests a second within the "
                    + "objectives; the best one sustains \(number(best.goodput)).")
        }
        text.append(
            "\(layout.name) sustains \(number(best.goodput)) requests a second within the objectives, "
                + "\(number(best.goodputPerGPU)) for each of its \(layout.gpus) GPUs.")
        text += comparison(result)
        if let report = best.report {
            let prefill = report.prefillUtilization
            if let prefill, prefill > 0.7 || prefill > report.decodeUtilization {
                text.append(
                    "Prefill is the limit: its engines work \(percent(prefill)) of the time, and what waits there waits for "
                        + "its first token.")
            } else if layout.isDisaggregated {
                text.append(
                    "Decode is the limit: about \(Int(report.meanInFlight / Double(max(1, layout.decode.count)))) requests run "
                        + "on each engine, at \(number(report.tpot.mean)) ms a token.")
            }
        }
        if let more = result.goodputWithOneMore, let larger = result.layoutWithOneMore {
            let gain = (more / max(1e-9, best.goodput) - 1) * 100
            text.append(
                gain < 1
                    ? "One GPU more would change nothing: no larger layout uses it."
                    : "One GPU more would give about \(DecimalText.fixed(gain, 0)) % more (\(larger.name)).")
        }
        for (ranks, shortage) in shortages.sorted(by: { $0.key < $1.key }) {
            switch shortage {
            case .memory(let reason): text.append("TP\(ranks) is ruled out: \(reason).")
            case .rule(let reason): text.append("TP\(ranks) is ruled out: \(reason).")
            default: break
            }
        }
        if request.isEagerApart, !request.setup.isEager {
            text.append(
                "With the \(request.handoff.rawValue) hand-off engines run without CUDA graphs, which makes small steps slower; "
                    + "engines that do both keep their graphs.")
        }
        if request.handoff == .lmcache || request.handoff == .lmcacheLegacy {
            text.append("LMCache needs equal tensor-parallel sizes on both sides; --handoff nixl would allow others.")
        }
        let gpu = request.setup.gpu
        if layout.decode.tensorParallel > 1, gpu.fabric == .pcie || gpu.fabric == .hostOnly {
            text.append(
                "\(gpu.name) has no NVLink, so the ranks' sums go over PCIe: measure before you rely on TP above 1.")
        }
        return text
    }

    /// Whether to disaggregate at all.
    private static func comparison(_ result: PlanResult) -> [String] {
        guard let apart = result.bestApart else {
            guard let together = result.bestTogether else { return [] }
            return [
                "Do not disaggregate: no layout with engines apart keeps the objectives on \(result.request.gpus) GPUs, "
                    + "while \(together.layout.name) does."
            ]
        }
        guard let together = result.bestTogether else {
            return ["Engines that do both cannot keep the objectives: prompts hold up the running answers too long."]
        }
        let (first, second) = (apart.goodputPerGPU, together.goodputPerGPU)
        let gain = (first / max(1e-9, second) - 1) * 100
        if gain > 5 {
            return [
                "Disaggregating pays: \(number(first)) requests a second and GPU, against \(number(second)) for the best layout "
                    + "of engines that do both (\(together.layout.name)), \(DecimalText.fixed(gain, 0)) % more."
            ]
        }
        if gain < -5 {
            return [
                "Do not disaggregate for this load: engines that do both (\(together.layout.name)) sustain \(number(second)) "
                    + "requests a second and GPU, apart (\(apart.layout.name)) only \(number(first)), "
                    + "\(DecimalText.fixed(-gain, 0)) % less."
            ]
        }
        return [
            "Disaggregating makes little difference for this load: \(number(first)) requests a second and GPU apart, "
                + "\(number(second)) together (\(together.layout.name)). That is within the model's error; what is simpler "
                + "to run should decide."
        ]
    }

    private static func infeasible(
        _ result: PlanResult, shortages: [Int: PlanShortage], failures: [PlanShortage]
    ) -> [String] {
        var text = ["No layout of \(result.request.gpus) \(result.request.setup.gpu.name) keeps the objectives."]
        for (ranks, shortage) in shortages.sorted(by: { $0.key < $1.key }) {
            switch shortage {
            case .memory(let reason), .rule(let reason): text.append("TP\(ranks): \(reason).")
            default: break
            }
        }
        let firsts = failures.compactMap { if case .ttft(let time) = $0 { time } else { nil } }
        let betweens = failures.compactMap { if case .tpot(let time) = $0 { time } else { nil } }
        if let nearest = firsts.min(), let limit = result.request.objectives.ttft {
            text.append(
                "The time to the first token is in the way: even without a queue it is \(number(nearest)) ms for the longest "
                    + "prompts, the objective is \(number(limit)) ms. --slo ttft=\(Int(nearest * 1.25))ms could be kept."
            )
        }
        if let nearest = betweens.min(), let limit = result.request.objectives.tpot {
            text.append(
                "The time between tokens is in the way: even alone a request needs \(number(nearest)) ms, the objective is "
                    + "\(number(limit)) ms. --slo tpot=\(Int(nearest * 1.25) + 1)ms could be kept.")
        }
        if firsts.isEmpty, betweens.isEmpty, result.request.gpus < 2 {
            text.append("Engines apart need at least two GPUs.")
        }
        return text
    }

    static func number(_ value: Double) -> String { DecimalText.fixed(value, abs(value) < 10 ? 2 : 1) }
    private static func percent(_ share: Double) -> String { "\(DecimalText.fixed(100 * share, 0)) %" }
}
