import DisaggCore
import Testing

@Suite struct PlanTests {
    private func result(_ change: (inout PlanQuestion) -> Void) throws -> PlanResult {
        var question = PlanQuestion(engine: EngineDescription(model: "meta-llama/Llama-3.1-8B", gpu: "H100"))
        question.gpus = 4
        question.load.input = "3000"
        question.load.output = "150"
        change(&question)
        return PlanSearch(try question.request()).run()
    }

    @Test func aPlanUsesNoMoreGPUsThanThereAreAndKeepsItsObjectives() throws {
        let plan = try result { $0.load.objectives = "ttft=400ms,tpot=20ms" }
        let best = try #require(plan.best)
        #expect(best.layout.gpus <= 4 && best.goodput > 0)
        let report = try #require(best.report)
        #expect(report.attained >= 0.9)
        #expect(plan.candidates.contains { $0.layout.isDisaggregated })
        #expect(plan.candidates.contains { !$0.layout.isDisaggregated })
        let seats = try #require(plan.placement).seats
        let devices = seats.flatMap(\.positions)
        #expect(Set(devices).count == devices.count && devices.count == best.layout.gpus)
    }

    /// The table once showed what a short simulation counted, its tail included: half of what the rate says.
    @Test func tokensASecondAreRequestsASecondTimesTheirTokens() throws {
        for rate in [nil, 0.5] {
            let plan = try result {
                $0.gpus = 2
                $0.load.output = "400"
                $0.load.rate = rate
            }
            let view = try JSONView(parsing: PlanReport.json(plan))
            for candidate in try #require(view["candidates"]).elements {
                let goodput = try #require(candidate["goodput"]?.double)
                let tokens = try #require(candidate["outputTokensPerSecond"]?.double)
                #expect(abs(tokens - min(goodput, rate ?? goodput) * 400) < 1)
            }
        }
    }

    @Test func noLayoutIsListedTwice() throws {
        let plan = try result {
            $0.engine.model = "meta-llama/Llama-3.1-70B"
            $0.gpus = 8
            $0.load.rate = 3
        }
        let layouts = plan.candidates.map(\.layout)
        #expect(layouts.count > 2 && Set(layouts).count == layouts.count, "\(layouts.map(\.name))")
    }

    @Test func theSameQuestionHasTheSameAnswer() throws {
        let one = PlanReport.json(try result { $0.gpus = 3 })
        #expect(one == PlanReport.json(try result { $0.gpus = 3 }))
        #expect(try JSONView(parsing: one)["best"]?["layout"]?.string != nil)
    }

    @Test func aNeededRateTakesTheFewestGPUs() throws {
        let plan = try result {
            $0.gpus = 8
            $0.load.rate = 2
        }
        let best = try #require(plan.best)
        #expect(best.goodput >= 2)
        #expect(best.layout.gpus <= 2)
    }

    /// Prompts of a few tokens and long answers: a prefill engine would idle.
    @Test func aLoadOfAnswersAloneIsNotDisaggregated() throws {
        let plan = try result {
            $0.load.input = "64"
            $0.load.output = "800"
            $0.load.objectives = "ttft=500ms,tpot=30ms"
        }
        let best = try #require(plan.best)
        #expect(!best.layout.isDisaggregated)
        #expect(plan.explanation.contains { $0.hasPrefix("Do not disaggregate") || $0.contains("little difference") })
    }

    /// Long prompts, and answers that may not stutter.
    @Test func longPromptsAndATightTimeBetweenTokensAreDisaggregated() throws {
        let plan = try result {
            $0.load.input = "8000"
            $0.load.output = "200"
            $0.load.handoff = "nixl"
            $0.load.objectives = "ttft=1500ms,tpot=12ms"
        }
        let best = try #require(plan.best)
        #expect(best.layout.isDisaggregated, "\(plan.explanation)")
    }

    @Test func whatCannotBeSaysWhyAndWhatCould() throws {
        let tight = try result { $0.load.objectives = "ttft=20ms,tpot=50ms" }
        #expect(tight.best == nil)
        #expect(
            tight.explanation.contains {
                $0.contains("time to the first token is in the way") && $0.contains("--slo ttft=")
            })
        let large = try result {
            $0.engine.model = "meta-llama/Llama-3.1-70B"
            $0.gpus = 1
        }
        #expect(large.best == nil)
        #expect(large.explanation.contains { $0.contains("weights of 131.4 GiB") })
    }

    @Test func aHandOffThatNeedsEqualRanksGetsThem() throws {
        let plan = try result { $0.engine.model = "Qwen/Qwen3-32B" }
        for candidate in plan.candidates {
            if let prefill = candidate.layout.prefill {
                #expect(prefill.tensorParallel == candidate.layout.decode.tensorParallel)
            }
        }
    }

    @Test func thePlansDeploymentIsReadBack() throws {
        let plan = try result { $0.load.objectives = "ttft=1500ms,tpot=15ms" }
        let yaml = try #require(PlanDeployment.yaml(plan))
        let deployment = try Deployment(yaml: yaml)
        #expect(deployment == PlanDeployment.deployment(plan))
        let best = try #require(plan.best)
        #expect(deployment.decode.replicas == best.layout.decode.count)
        #expect(deployment.decode.gpus.count == best.layout.decode.gpus)
    }

    private static let places = CommandPlaces(directory: "logs", launcher: "disagg-launch", proxy: "disagg-proxy")

    /// Errors of `disagg-launch check` but for what it finds on this machine.
    private func errors(_ deployment: Deployment) -> [String] {
        CheckReport(
            subject: "plan",
            findings: CheckRequest.findings(deployment, places: Self.places, facts: nil)
        ).lines(.error)
    }

    @Test(arguments: ["lmcache", "nixl"])
    func aPlanOverHostsNamesEveryEngineAndPassesTheCheck(handoff: String) throws {
        var plan = try result {
            $0.gpus = 8
            $0.gpusPerHost = 4
            $0.load.handoff = handoff
            $0.load.objectives = "ttft=1500ms,tpot=15ms"
        }
        // Whichever wins: the file of the layout with engines apart.
        let best = try #require(plan.bestApart)
        plan.best = best
        plan.placement = try PlacementSolver(hosts: plan.request.hosts).place(best.layout.engines)
        #expect(best.layout.gpus > 4)
        let deployment = try Deployment(yaml: try #require(PlanDeployment.yaml(plan)))
        #expect(deployment == PlanDeployment.deployment(plan))
        #expect(errors(deployment) == [])
        let urls = deployment.prefill.urls + deployment.decode.urls
        #expect(Set(urls).count == urls.count && urls.count == best.layout.engines.count)
        #expect(Set(urls.map(\.host)) == ["host-0", "host-1"])
        #expect(deployment.proxy.notify.host == "host-0")
        // The commands that `config` writes have the placement's GPUs, disjoint on each host.
        let seats = try #require(plan.placement).seats
        for engine in EngineCommands.all(deployment, places: Self.places) {
            let seat = try #require(
                seats.first { $0.engine.role == engine.role && $0.engine.replica == engine.replica })
            let devices = engine.command.environment["CUDA_VISIBLE_DEVICES"]
            #expect(devices == Placement.visibleDevices(seat, on: plan.request.hosts))
            #expect(engine.command.arguments.contains(plan.request.hosts[seat.host].name))
        }
    }

    @Test func theFileOfAPlanOnOneHostPassesTheCheck() throws {
        for handoff in ["lmcache", "nixl", "plain"] {
            let plan = try result {
                $0.load.handoff = handoff
                $0.load.objectives = "ttft=1500ms,tpot=15ms"
            }
            let deployment = try Deployment(yaml: try #require(PlanDeployment.yaml(plan)))
            #expect(errors(deployment) == [], "\(handoff)")
        }
    }

    @Test func theFileHasThePoliciesItWasPlannedWith() throws {
        let plan = try result { $0.load.policy = "least-loaded" }
        let deployment = try #require(PlanDeployment.deployment(plan))
        #expect(deployment.routing.prefill.policy == .leastLoaded && deployment.routing.decode.policy == .leastLoaded)
    }

    @Test func aPlanOfEnginesThatDoBothStartsNoPrefillEngine() throws {
        let plan = try result { $0.load.objectives = "ttft=1s,tpot=40ms" }
        #expect(plan.best?.layout.isDisaggregated == false)
        let deployment = try Deployment(yaml: try #require(PlanDeployment.yaml(plan)))
        let roles = LaunchPlan(deployment, places: Self.places).processes.map(\.role)
        #expect(roles.contains("decode") && !roles.contains("prefill"))
    }

    @Test func thePictureAndThePageAreWellFormed() throws {
        let plan = try result { $0.gpus = 2 }
        let svg = PlanPlot.svg(plan)
        #expect(svg.hasPrefix("<svg") && svg.hasSuffix("</svg>\n"))
        #expect(!svg.contains("nan") && svg.contains("<polyline"))
        #expect(PlanPlot.html(plan).contains("</html>"))
        #expect(PlanReport.text(plan).contains("Basis: "))
        for front in [plan.frontApart, plan.frontTogether] {
            #expect(zip(front, front.dropFirst()).allSatisfy { $0.perUser < $1.perUser && $0.perGPU > $1.perGPU })
        }
    }

    @Test func aBusyMachineIsPlannedWithWhatIsFree() throws {
        let plan = try result {
            var host = (try? PlanningFixture.host("topo-h200-8-nics.txt", "NVIDIA H200", memoryMiB: 143_771))
            for index in 4..<8 { host?.devices[index].isPartitioned = true }
            $0.inventory = [host].compactMap { $0 }
        }
        #expect(plan.request.gpus == 4)
        #expect(plan.request.setup.gpu.name == "H200")
        #expect(try #require(plan.placement).seats.flatMap(\.positions).allSatisfy { $0 < 4 })
    }

    @Test func questionsThatMakeNoSenseSayWhatToDo() {
        let wrong: [(String, (inout PlanQuestion) -> Void)] = [
            ("--gpus", { $0.gpus = 0 }), ("--isl", { $0.load.input = nil }),
            ("--handoff", { $0.load.handoff = "none" }),
            ("is not in the table", { $0.engine.gpu = "Voodoo2" }), ("--percentile", { $0.load.percentile = 100 }),
            ("--slo", { $0.load.objectives = "" }), ("--burstiness", { $0.load.burstiness = "wild" }),
        ]
        for (text, change) in wrong {
            #expect { _ = try self.result(change) } throws: { "\($0)".contains(text) }
        }
    }
}
