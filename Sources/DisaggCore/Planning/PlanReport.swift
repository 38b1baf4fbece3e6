/// A plan as a table for people or as JSON.
package enum PlanReport {
    /// Forms of a plan; `yaml` is the deployment file, empty where nothing keeps the objectives.
    package enum Format: String, CaseIterable, Sendable { case table, json, yaml, svg, html }

    /// The plan in one form.
    package static func text(_ result: PlanResult, _ format: Format) -> String {
        switch format {
        case .table: text(result)
        case .json: json(result)
        case .yaml: PlanDeployment.yaml(result) ?? ""
        case .svg: PlanPlot.svg(result)
        case .html: PlanPlot.html(result)
        }
    }

    /// The table, and the explanation in words.
    package static func text(_ result: PlanResult) -> String {
        let request = result.request
        var text = "\(request.modelName) on \(request.gpus) \(request.setup.gpu.name)"
        if request.hosts.count > 1 { text += " (\(request.hosts.count) hosts)" }
        text += ", \(objectives(request)), hand-off \(request.handoff.rawValue)\n\n"
        if result.best != nil {
            text += row(["", "layout", "GPUs", "req/s", "req/s/GPU", "TTFT p50/p99", "TPOT p50/p99", "tok/s"])
            for (index, candidate) in result.candidates.prefix(8).enumerated() {
                text += line(index, candidate, result)
            }
            text += "\n"
        }
        text += result.explanation.map { "- \($0)\n" }.joined()
        if let dollars = result.dollarsPerMillionTokens {
            text +=
                "- At \(DecimalText.fixed(request.dollarsPerHour, 2)) $ a GPU and hour, a million output tokens cost "
            text += "\(DecimalText.fixed(dollars, 2)) $.\n"
        }
        if let placement = result.placement {
            text += "\n"
            for seat in placement.seats.prefix(64) {
                let hosts = request.hosts
                let host = hosts.count > 1 && hosts.indices.contains(seat.host) ? " on \(hosts[seat.host].name)" : ""
                text += "  \(seat.engine.role.backendID(replica: seat.engine.replica))\(host): CUDA_VISIBLE_DEVICES="
                text += Placement.visibleDevices(seat, on: hosts)
                text += Placement.binding(seat, on: hosts).map { ", numactl \($0)" } ?? ""
                text += "\n"
            }
        }
        let band = result.bands
        return text + "\nLatencies: TTFT ±\(band.ttft) %, TPOT ±\(band.tpot) %. Basis: \(result.basis).\n"
    }

    private static func line(_ index: Int, _ candidate: PlanCandidate, _ result: PlanResult) -> String {
        let report = candidate.report
        func pair(_ values: SimulationReport.Distribution?) -> String {
            values.map { "\(PlanExplanation.number($0.p50))/\(PlanExplanation.number($0.p99))" } ?? "-"
        }
        return row([
            index == 0 ? ">" : " ", candidate.layout.name, "\(candidate.layout.gpus)",
            PlanExplanation.number(candidate.goodput), PlanExplanation.number(candidate.goodputPerGPU),
            pair(report?.ttft), pair(report?.tpot), DecimalText.fixed(result.tokensPerSecond(candidate), 0),
        ])
    }

    private static func row(_ cells: [String]) -> String {
        let widths = [1, 38, 4, 8, 9, 16, 13, 7]
        let padded = zip(cells, widths).enumerated().map { index, cell in
            let space = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
            return index < 2 ? cell.0 + space : space + cell.0
        }
        var line = padded.joined(separator: "  ")
        while line.hasSuffix(" ") { line.removeLast() }
        return line + "\n"
    }

    static func objectives(_ request: PlanRequest) -> String {
        var parts: [String] = []
        if let ttft = request.objectives.ttft { parts.append("TTFT ≤ \(PlanExplanation.number(ttft)) ms") }
        if let tpot = request.objectives.tpot { parts.append("TPOT ≤ \(PlanExplanation.number(tpot)) ms") }
        return parts.joined(separator: " and ") + " for \(request.objectives.percentile) % of requests"
    }

    /// The whole result.
    package static func json(_ result: PlanResult) -> String {
        let request = result.request
        let placement = result.placement.map { placement in
            PlanJSON.list(
                placement.seats.map { seat in
                    PlanJSON.object([
                        ("engine", PlanJSON.string(seat.engine.role.backendID(replica: seat.engine.replica))),
                        (
                            "host",
                            PlanJSON.string(
                                request.hosts.indices.contains(seat.host) ? request.hosts[seat.host].name : "")
                        ),
                        (
                            "cudaVisibleDevices",
                            PlanJSON.string(Placement.visibleDevices(seat, on: request.hosts))
                        ),
                        ("numactl", Placement.binding(seat, on: request.hosts).map(PlanJSON.string) ?? "null"),
                    ])
                })
        }
        return PlanJSON.object([
            ("model", PlanJSON.string(request.modelName)), ("gpu", PlanJSON.string(request.setup.gpu.name)),
            ("gpus", "\(request.gpus)"), ("handoff", PlanJSON.string(request.handoff.rawValue)),
            ("objectives", objectivesJSON(request)),
            ("rate", request.isRateGiven ? PlanJSON.number(request.workload.rate) : "null"),
            ("best", result.best.map { candidate($0, result) } ?? "null"),
            ("candidates", PlanJSON.list(result.candidates.map { candidate($0, result) })),
            ("disaggregate", disaggregate(result)),
            ("goodputWithOneMoreGPU", result.goodputWithOneMore.map { PlanJSON.number($0) } ?? "null"),
            ("dollarsPerMillionOutputTokens", result.dollarsPerMillionTokens.map { PlanJSON.number($0, 4) } ?? "null"),
            ("placement", placement ?? "null"),
            ("paretoDisaggregated", PlanJSON.list(result.frontApart.map(point))),
            ("paretoAggregated", PlanJSON.list(result.frontTogether.map(point))),
            ("considered", "\(result.considered)"),
            ("explanation", PlanJSON.list(result.explanation.map(PlanJSON.string))),
            ("errorPercent", PlanJSON.object([("ttft", "\(result.bands.ttft)"), ("tpot", "\(result.bands.tpot)")])),
            ("basis", PlanJSON.string(result.basis)),
        ]) + "\n"
    }

    private static func objectivesJSON(_ request: PlanRequest) -> String {
        PlanJSON.object([
            ("ttftMilliseconds", request.objectives.ttft.map { PlanJSON.number($0) } ?? "null"),
            ("tpotMilliseconds", request.objectives.tpot.map { PlanJSON.number($0) } ?? "null"),
            ("percentile", "\(request.objectives.percentile)"),
        ])
    }

    /// Whether apart is better by more than the model can err on ratios; null where they are alike or one is missing.
    private static func disaggregate(_ result: PlanResult) -> String {
        switch (result.bestApart, result.bestTogether) {
        case (.some, nil): "true"
        case (nil, .some): "false"
        case (let apart?, let together?):
            apart.goodputPerGPU > 1.05 * together.goodputPerGPU
                ? "true" : apart.goodputPerGPU < 0.95 * together.goodputPerGPU ? "false" : "null"
        default: "null"
        }
    }

    private static func point(_ point: PlanPoint) -> String {
        PlanJSON.object([
            ("tokensPerSecondPerUser", PlanJSON.number(point.perUser, 2)),
            ("tokensPerSecondPerGPU", PlanJSON.number(point.perGPU, 1)), ("tensorParallel", "\(point.ranks)"),
            ("batch", "\(point.batch)"),
        ])
    }

    private static func part(_ part: PlanLayout.Part?) -> String {
        guard let part else { return "null" }
        return PlanJSON.object([
            ("replicas", "\(part.count)"), ("tensorParallel", "\(part.tensorParallel)"),
            ("maxNumSeqs", "\(part.sequences)"), ("maxNumBatchedTokens", "\(part.batchedTokens)"),
        ])
    }

    private static func candidate(_ candidate: PlanCandidate, _ result: PlanResult) -> String {
        func distribution(_ values: SimulationReport.Distribution?) -> String {
            guard let values else { return "null" }
            return PlanJSON.object([
                ("mean", PlanJSON.number(values.mean)), ("p50", PlanJSON.number(values.p50)),
                ("p90", PlanJSON.number(values.p90)), ("p99", PlanJSON.number(values.p99)),
            ])
        }
        return PlanJSON.object([
            ("layout", PlanJSON.string(candidate.layout.name)), ("prefill", part(candidate.layout.prefill)),
            ("decode", part(candidate.layout.decode)), ("gpus", "\(candidate.layout.gpus)"),
            ("goodput", PlanJSON.number(candidate.goodput)),
            ("goodputPerGPU", PlanJSON.number(candidate.goodputPerGPU, 4)),
            ("ttftMilliseconds", distribution(candidate.report?.ttft)),
            ("tpotMilliseconds", distribution(candidate.report?.tpot)),
            ("outputTokensPerSecond", PlanJSON.number(result.tokensPerSecond(candidate), 1)),
        ])
    }
}

extension PlanResult {
    /// The ranges of the mean latencies, in percent.
    package var bands: (ttft: Int, tpot: Int) {
        let predictor = request.predictor(
            ranks: best?.layout.decode.tensorParallel ?? 1, isApart: best?.layout.isDisaggregated ?? true)
        let prompt = predictor.prompt(tokens: max(1, Int(request.workload.input.mean)))
        let step = predictor.step(batch: 32, context: Int(request.workload.input.mean))
        func percent(_ prediction: Prediction) -> Int {
            Int(((prediction.high / max(1e-9, prediction.value) - 1) * 100).rounded(.up))
        }
        return (percent(prompt), percent(step))
    }
}
