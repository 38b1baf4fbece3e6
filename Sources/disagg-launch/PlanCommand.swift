import ArgumentParser
import DisaggCore

/// `disagg-launch plan`: how many engines of which size, on which GPUs, and whether apart at all.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Choose engines, sizes and GPUs for a load, or be told not to disaggregate.",
        discussion: """
            Rates every split of the GPUs into prefill and decode engines, simulates the best ones and the best layouts of \
            engines that do both, and prints what each sustains within the objectives. Without --rate it looks for the \
            highest rate, with --rate for the fewest GPUs.

            EXAMPLES:
              disagg-launch plan --model meta-llama/Llama-3.1-8B --gpu H100 --gpus 8 --isl 4000 --osl 300
              disagg-launch plan --model meta-llama/Llama-3.1-70B --gpu H200 --gpus 16 --isl 4000~1 --osl 300~1 \\
                --rate 6 --slo ttft=2s,tpot=40ms --deployment plan.yaml --plot plan.html
              disagg-launch plan --model Qwen/Qwen3-32B --inventory --trace conversations.jsonl --format json

            EXIT STATUS: 0 planned; 1 nothing keeps the objectives; 2 wrong arguments or files.
            """)

    @OptionGroup(title: "ENGINE OPTIONS") var engine: EngineOptions
    @OptionGroup(title: "LOAD OPTIONS") var load: LoadOptions
    @Option(help: "The GPU: H100, H200, A100-80GB, L40S, …") var gpu: String?
    @Option(help: "GPUs there are.") var gpus: Int?
    @Option(help: "GPUs of one machine.") var gpusPerHost = 8
    @Flag(help: "Ask this machine's nvidia-smi for GPUs, links and processes.") var inventory = false
    @Option(
        name: .customLong("host"), parsing: .singleValue,
        help: ArgumentHelp(
            "Another machine: its name, and files with nvidia-smi's answers to --query-gpu and topo -m. Can be repeated.",
            valueName: "name=query.csv,topo.txt"))
    var hosts: [String] = []
    @Option(help: "GPUs that may be used, by index or UUID, separated by commas.") var devices: String?
    @Option(help: "Share of requests that must keep them, in percent.") var percentile = 90
    @Option(name: .customLong("max-tensor-parallel"), help: "Largest engine that is tried, in GPUs.")
    var maximumTensorParallel = 8
    @Option(help: "US dollars for a GPU and hour. Default: a rough rental price.") var price: Double?
    @Option(name: .customLong("network-gbps"), help: "Network of one GPU, in gigabits a second.") var network = 200.0
    @Option(
        help: ArgumentHelp(
            "Of these, yaml is the deployment file. (default: table)", valueName: "table|json|yaml|svg|html"),
        transform: choice)
    var format = PlanReport.Format.table
    @Option(help: ArgumentHelp("Write the deployment file here.", valueName: "file")) var deployment: String?
    @Option(help: ArgumentHelp("Write a picture here: .svg or .html.", valueName: "file")) var plot: String?

    func run() async throws {
        var question = PlanQuestion(engine: engine.description(gpu: gpu ?? ""))
        question.gpus = gpus
        question.gpusPerHost = gpusPerHost
        question.inventory = try hosts.map { text throws(CommandError) in try HostFiles.read(text) }
        if inventory {
            question.inventory.append(try await GPUInventory.host(path: ExecutableSearch.variable("PATH") ?? ""))
        }
        if question.inventory.isEmpty, gpu == nil { throw CommandError("give --gpu and --gpus, or --inventory") }
        question.selectors = devices?.split(separator: ",").map(String.init) ?? []
        try load.describe(&question.load)
        question.load.percentile = percentile
        question.maximumTensorParallel = maximumTensorParallel
        question.dollarsPerHour = price
        question.network = network / 8
        let result = PlanSearch(try question.request()).run()
        if let deployment, let yaml = PlanDeployment.yaml(result) { try HostFiles.write(yaml, to: deployment) }
        if let plot { try HostFiles.write(PlanReport.text(result, plot.hasSuffix(".svg") ? .svg : .html), to: plot) }
        Terminal.write(PlanReport.text(result, format))
        if result.best == nil { throw ExitCode(1) }
    }
}
