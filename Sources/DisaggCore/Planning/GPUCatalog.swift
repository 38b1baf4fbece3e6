/// The GPUs whose data sheets are known.
///
/// `memory.total` and what CUDA sees of it are what `nvidia-smi` and PyTorch print on these boards; the difference is
/// the driver's. An unknown GPU is an error: guessing a peak would make every number that follows a guess.
public enum GPUCatalog {
    /// The GPU of that name, whatever its case and separators: `h100`, `H100-SXM`, `NVIDIA H100 80GB HBM3`.
    ///
    /// - Throws: ``CommandError`` that lists the names there are.
    package static func named(_ name: String) throws(CommandError) -> GPUModel {
        let key = normalized(name)
        if let model = all.first(where: { ([$0.name] + $0.aliases).map(normalized).contains(key) }) { return model }
        if let model = reported(name: name, memoryMiB: nil) { return model }
        throw CommandError(
            "the GPU \"\(name)\" is not in the table; it has \(all.map(\.name).joined(separator: ", ")). "
                + "Take the one that is nearest in memory bandwidth, or measure with disagg-launch calibrate")
    }

    /// The GPU that `nvidia-smi` calls `name` and that has about `memoryMiB` of memory; nil for unknown ones.
    ///
    /// The memory decides where one name stands for two boards (A100 with 40 and 80 GB, H20 with 96 and 141 GB).
    public static func reported(name: String, memoryMiB: Int?) -> GPUModel? {
        let key = normalized(name)
        let candidates = all.compactMap { model -> (model: GPUModel, length: Int)? in
            let match = model.reportedNames.map(normalized).filter { key.hasPrefix($0) }.map(\.utf8.count).max()
            return match.map { (model, $0) }
        }
        guard let longest = candidates.map(\.length).max() else { return nil }
        let best = candidates.filter { $0.length == longest }.map(\.model)
        guard let memoryMiB else { return best.count == 1 ? best.first : nil }
        return best.first { abs($0.memoryMiB - memoryMiB) * 20 < $0.memoryMiB }
    }

    private static func normalized(_ name: String) -> String {
        var text = name.lowercased().filter { $0.isLetter || $0.isNumber }
        for vendor in ["nvidia", "tesla", "geforce", "amd", "instinct"] where text.hasPrefix(vendor) {
            text.removeFirst(vendor.count)
        }
        return text
    }

    private static func board(
        _ name: String, _ family: GPUModel.Family, bf16: Double, fp8: Double?, mib: Int, usable: Int, bandwidth: Double,
        link: Double, pcie: Double, _ fabric: GPUModel.Fabric, price: Double, aliases: [String] = [],
        reported: [String]
    ) -> GPUModel {
        GPUModel(
            name: name, aliases: aliases, family: family, bfloat16Teraflops: bf16, float8Teraflops: fp8, memoryMiB: mib,
            usableMiB: usable, memoryGigabytesPerSecond: bandwidth, linkGigabytesPerSecond: link,
            pcieGigabytesPerSecond: pcie, fabric: fabric, dollarsPerHour: price, reportedNames: reported)
    }

    /// All of them, oldest first.
    public static let all: [GPUModel] = [
        board(
            "A100-40GB", .ampere, bf16: 312, fp8: nil, mib: 40960, usable: 40442, bandwidth: 1555, link: 300, pcie: 32,
            .switched, price: 1.5, aliases: ["A100-SXM4-40GB"], reported: ["A100-SXM4-40GB", "A100-PCIE-40GB"]),
        board(
            "A100-80GB", .ampere, bf16: 312, fp8: nil, mib: 81920, usable: 81050, bandwidth: 2039, link: 300, pcie: 32,
            .switched, price: 1.8, aliases: ["A100", "A100-SXM", "A100-SXM4-80GB"], reported: ["A100-SXM4-80GB"]),
        board(
            "A100-PCIe", .ampere, bf16: 312, fp8: nil, mib: 81920, usable: 81050, bandwidth: 1935, link: 300, pcie: 32,
            .bridgedPairs, price: 1.6, aliases: ["A100-PCIe-80GB"], reported: ["A100 80GB PCIe"]),
        board(
            "A10", .ampere, bf16: 125, fp8: nil, mib: 23028, usable: 22503, bandwidth: 600, link: 0, pcie: 32, .pcie,
            price: 0.8, reported: ["A10"]),
        board(
            "A10G", .ampere, bf16: 70, fp8: nil, mib: 23028, usable: 22503, bandwidth: 600, link: 0, pcie: 32, .pcie,
            price: 1.0, reported: ["A10G"]),
        board(
            "L4", .ada, bf16: 121, fp8: 242, mib: 23034, usable: 22563, bandwidth: 300, link: 0, pcie: 32, .pcie,
            price: 0.7, reported: ["L4"]),
        board(
            "L40S", .ada, bf16: 362, fp8: 733, mib: 46068, usable: 45488, bandwidth: 864, link: 0, pcie: 32, .pcie,
            price: 1.3, reported: ["L40S"]),
        board(
            "RTX-4090", .ada, bf16: 165, fp8: 330, mib: 24564, usable: 24210, bandwidth: 1008, link: 0, pcie: 32,
            .hostOnly, price: 0.5, aliases: ["4090"], reported: ["RTX 4090"]),
        board(
            "H100-SXM", .hopper, bf16: 989, fp8: 1979, mib: 81559, usable: 81079, bandwidth: 3350, link: 450, pcie: 64,
            .switched, price: 2.5, aliases: ["H100", "H100-80GB"], reported: ["H100 80GB HBM3"]),
        board(
            "H100-PCIe", .hopper, bf16: 756, fp8: 1513, mib: 81559, usable: 81079, bandwidth: 2000, link: 300, pcie: 64,
            .bridgedPairs, price: 2.2, reported: ["H100 PCIe"]),
        board(
            "H100-NVL", .hopper, bf16: 835, fp8: 1671, mib: 95830, usable: 95320, bandwidth: 3900, link: 300, pcie: 64,
            .bridgedPairs, price: 2.5, reported: ["H100 NVL"]),
        board(
            "H800", .hopper, bf16: 989, fp8: 1979, mib: 81559, usable: 81079, bandwidth: 3350, link: 200, pcie: 64,
            .switched, price: 2.3, aliases: ["H800-SXM"], reported: ["H800"]),
        board(
            "H200", .hopper, bf16: 989, fp8: 1979, mib: 143_771, usable: 143_165, bandwidth: 4800, link: 450, pcie: 64,
            .switched, price: 3.2, aliases: ["H200-SXM", "H200-141GB"], reported: ["H200"]),
        board(
            "H20", .hopper, bf16: 148, fp8: 296, mib: 97871, usable: 97391, bandwidth: 4000, link: 450, pcie: 64,
            .switched, price: 1.5, aliases: ["H20-96GB"], reported: ["H20"]),
        board(
            "H20-141GB", .hopper, bf16: 148, fp8: 296, mib: 143_771, usable: 143_165, bandwidth: 4800, link: 450,
            pcie: 64, .switched, price: 1.8, aliases: ["H20-3e"], reported: ["H20"]),
        board(
            "B200", .blackwell, bf16: 2250, fp8: 4500, mib: 183_359, usable: 182_630, bandwidth: 7700, link: 900,
            pcie: 64, .switched, price: 5.0, reported: ["B200"]),
        board(
            "GB200", .blackwell, bf16: 2500, fp8: 5000, mib: 189_471, usable: 188_740, bandwidth: 8000, link: 900,
            pcie: 64, .switched, price: 5.5, reported: ["GB200"]),
        board(
            "MI300X", .cdna, bf16: 1307, fp8: 2615, mib: 196_592, usable: 196_288, bandwidth: 5300, link: 448, pcie: 64,
            .switched, price: 2.5, reported: ["MI300X"]),
    ]
}
