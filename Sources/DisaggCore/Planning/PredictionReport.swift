/// Answers of `disagg-launch predict` as JSON or as text.
package enum PredictionReport {
    /// `{"prefillMilliseconds", "low", "high", "basis"}`, or the same with another first name.
    package static func json(_ name: String, _ prediction: Prediction, extra: [(String, String)] = []) -> String {
        PlanJSON.object(
            [
                (name, PlanJSON.number(prediction.value)), ("low", PlanJSON.number(prediction.low)),
                ("high", PlanJSON.number(prediction.high)), ("basis", PlanJSON.string(prediction.basis)),
            ] + extra) + "\n"
    }

    /// One line for people.
    package static func text(_ what: String, _ prediction: Prediction) -> String {
        func number(_ value: Double) -> String { DecimalText.fixed(value, value < 10 ? 2 : 1) }
        return "\(what): \(number(prediction.value)) ms, nine times of ten between \(number(prediction.low)) and "
            + "\(number(prediction.high)) ms\n  basis: \(prediction.basis)\n"
    }

    /// The KV capacity.
    package static func json(_ budget: MemoryBudget, basis: String) -> String {
        PlanJSON.object([
            ("kvTokens", "\(budget.kvTokens)"), ("kvBytes", "\(max(0, budget.kvBytes))"),
            ("kvBytesPerToken", "\(budget.kvBytesPerToken)"), ("weightBytes", "\(budget.weightBytes)"),
            ("overheadBytes", "\(budget.overheadBytes)"), ("usableBytes", "\(budget.usableBytes)"),
            ("fits", budget.kvTokens > 0 ? "true" : "false"),
            ("low", "\(Int(Double(budget.kvTokens) * 0.97))"), ("high", "\(Int(Double(budget.kvTokens) * 1.03))"),
            ("basis", PlanJSON.string(basis)),
        ]) + "\n"
    }

    /// The KV capacity for people.
    package static func text(_ budget: MemoryBudget) -> String {
        func gib(_ bytes: Int) -> String { DecimalText.fixed(Double(bytes) / Double(1 << 30), 2) + " GiB" }
        let rows = [
            ("CUDA sees", gib(budget.usableBytes)), ("the engine may take", gib(budget.allowedBytes)),
            ("weights", gib(budget.weightBytes)), ("activations and libraries", gib(budget.overheadBytes)),
            ("KV cache", budget.kvBytes > 0 ? gib(budget.kvBytes) : "none"),
        ]
        let table = rows.map { "  \($0.0)\(String(repeating: " ", count: 28 - $0.0.count))\($0.1)\n" }.joined()
        let verdict =
            budget.shortage(forTokens: 1).map { "does not fit: \($0)" } ?? "\(budget.kvTokens) tokens of KV cache"
        return "\(verdict)\n\(table)"
    }

    /// What a deployment's clients will see.
    package static func json(_ answer: ServingQuestion.Answer, _ question: ServingQuestion) -> String {
        func distribution(_ values: SimulationReport.Distribution, _ prediction: Prediction) -> String {
            PlanJSON.object([
                ("mean", PlanJSON.number(values.mean)), ("p50", PlanJSON.number(values.p50)),
                ("p90", PlanJSON.number(values.p90)), ("p99", PlanJSON.number(values.p99)),
                ("low", PlanJSON.number(prediction.low)), ("high", PlanJSON.number(prediction.high)),
            ])
        }
        let report = answer.report
        return PlanJSON.object([
            ("ttftMilliseconds", distribution(report.ttft, answer.ttft)),
            ("tpotMilliseconds", distribution(report.tpot, answer.tpot)),
            ("goodput", PlanJSON.number(report.goodput)), ("attained", PlanJSON.number(report.attained, 4)),
            ("refused", "\(report.refused)"),
            ("outputTokensPerSecond", PlanJSON.number(report.tokensPerSecond, 1)),
            ("prefillUtilization", report.prefillUtilization.map { PlanJSON.number($0, 4) } ?? "null"),
            ("decodeUtilization", PlanJSON.number(report.decodeUtilization, 4)),
            ("overloaded", answer.isOverloaded ? "true" : "false"),
            ("handoff", PlanJSON.string(question.handoff.rawValue)),
            ("firstToken", PlanJSON.string(question.firstToken.rawValue)),
            ("arrivals", PlanJSON.string(arrivals(question.workload))),
            ("basis", PlanJSON.string("\(answer.ttft.basis); hand-off: \(answer.handoffBasis)")),
        ]) + "\n"
    }

    /// The same for people.
    package static func text(_ answer: ServingQuestion.Answer, _ question: ServingQuestion) -> String {
        func line(_ name: String, _ values: SimulationReport.Distribution, _ prediction: Prediction) -> String {
            func number(_ value: Double) -> String { DecimalText.fixed(value, value < 10 ? 2 : 1) }
            return
                "  \(name)  mean \(number(values.mean)) ms (\(number(prediction.low)) to \(number(prediction.high))), p50 "
                + "\(number(values.p50)), p90 \(number(values.p90)), p99 \(number(values.p99))\n"
        }
        let report = answer.report
        var text = "\(question.prefills) prefill and \(question.decodes) decode engines, \(question.handoff.rawValue), "
        text +=
            "\(DecimalText.fixed(question.workload.rate, 2)) requests a second, arrivals \(arrivals(question.workload))\n"
        text += line("TTFT", report.ttft, answer.ttft) + line("TPOT", report.tpot, answer.tpot)
        text += "  goodput \(DecimalText.fixed(report.goodput, 2)) requests a second "
        text += "(\(DecimalText.fixed(100 * report.attained, 1)) % within the objectives)\n"
        if let prefill = report.prefillUtilization {
            text += "  prefill engines work \(DecimalText.fixed(100 * prefill, 0)) %, "
        } else {
            text += "  "
        }
        text += "decode engines \(DecimalText.fixed(100 * report.decodeUtilization, 0)) % of the time\n"
        if report.refused > 0 {
            text += "  \(report.refused) requests are answered 429: they wait too long in the proxy\n"
        }
        if answer.isOverloaded {
            text += "  overloaded: requests come faster than they are served; latencies grow without end\n"
        }
        return text + "  basis: \(answer.ttft.basis); hand-off: \(answer.handoffBasis)\n"
    }

    private static func arrivals(_ workload: Workload) -> String {
        if !workload.trace.isEmpty { return "of the trace" }
        if workload.burstiness == .infinity { return "even" }
        return workload.burstiness == 1 ? "Poisson" : "gamma, burstiness \(DecimalText.fixed(workload.burstiness, 2))"
    }
}
