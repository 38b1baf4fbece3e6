/// Shapes of common models, so that a deployment needs no `config.json`.
///
/// The numbers are those of the models' published `config.json`.
public enum ModelCatalog {
    /// One family member.
    public struct Entry: Sendable, Hashable {
        /// The beginning of the model's name, in lower case, for example `llama-3.1-8b`.
        public var name: String
        /// Its shape.
        public var shape: ModelShape
    }

    /// The shape of a known model, nil for others.
    ///
    /// The last part of the name decides (`meta-llama/Llama-3.1-8B-Instruct`), so local paths work too; the longest
    /// entry that begins the name wins. A quantisation in the name (`-FP8`, `-AWQ`, `-GPTQ-Int4`) is taken over.
    public static func named(_ model: String) -> ModelShape? {
        let last = model.split(separator: "/").last.map { $0.lowercased() } ?? ""
        var name = last.hasPrefix("meta-") ? String(last.dropFirst(5)) : last
        for word in ["-coder-", "-math-", "-instruct-"] {
            // Qwen2.5-Coder-7B has the shape of Qwen2.5-7B.
            if let range = name.firstRange(of: word) { name.replaceSubrange(range, with: "-") }
        }
        let entry = all.filter { begins(name, with: $0.name) }.max { $0.name.utf8.count < $1.name.utf8.count }
        guard var shape = entry?.shape else { return nil }
        if let (quantization, bits) = quantization(in: last) {
            shape.quantization = quantization
            shape.quantizedBits = bits
        }
        return shape
    }

    /// Whether the entry is the whole name or ends at a separator: `qwen3-8b` begins `qwen3-8b-fp8`, not `qwen3-8bx`.
    private static func begins(_ name: String, with entry: String) -> Bool {
        guard name.hasPrefix(entry) else { return false }
        let next = name.utf8.dropFirst(entry.utf8.count).first
        return next == nil || next == UInt8(ascii: "-") || next == UInt8(ascii: "_") || next == UInt8(ascii: ".")
    }

    private static func quantization(in name: String) -> (String, Int)? {
        let words = name.split { $0 == "-" || $0 == "_" || $0 == "." }.map(String.init)
        for word in words {
            switch word {
            case "fp8", "int8", "w8a8", "w8a16": return (word, 8)
            case "awq", "int4", "w4a16", "gptq", "nvfp4", "fp4", "bnb":
                return (word, words.contains("int8") ? 8 : 4)
            default: continue
            }
        }
        return nil
    }

    /// All entries, by family.
    public static let all: [Entry] = llama + qwen + mistral + deepseek + other

    private static func dense(
        _ name: String, _ layers: Int, _ hidden: Int, heads: Int, kv: Int, head: Int, ffn: Int, vocabulary: Int,
        positions: Int, tied: Bool = false
    ) -> Entry {
        var shape = ModelShape(
            layers: layers, hiddenSize: hidden, attentionHeads: heads, kvHeads: kv, headDimension: head,
            feedForwardSize: ffn, vocabulary: vocabulary)
        shape.maximumPositions = positions
        shape.tiesEmbeddings = tied
        return Entry(name: name, shape: shape)
    }

    private static func changed(_ entry: Entry, _ name: String? = nil, _ change: (inout ModelShape) -> Void) -> Entry {
        var entry = entry
        entry.name = name ?? entry.name
        change(&entry.shape)
        return entry
    }

    private static let llama: [Entry] = {
        let eight = dense(
            "llama-3.1-8b", 32, 4096, heads: 32, kv: 8, head: 128, ffn: 14336, vocabulary: 128_256, positions: 131_072)
        let seventy = dense(
            "llama-3.1-70b", 80, 8192, heads: 64, kv: 8, head: 128, ffn: 28672, vocabulary: 128_256,
            positions: 131_072)
        return [
            dense(
                "llama-3.2-1b", 16, 2048, heads: 32, kv: 8, head: 64, ffn: 8192, vocabulary: 128_256,
                positions: 131_072, tied: true),
            dense(
                "llama-3.2-3b", 28, 3072, heads: 24, kv: 8, head: 128, ffn: 8192, vocabulary: 128_256,
                positions: 131_072, tied: true),
            eight, seventy,
            changed(eight, "llama-3-8b") { $0.maximumPositions = 8192 },
            changed(seventy, "llama-3-70b") { $0.maximumPositions = 8192 },
            changed(seventy, "llama-3.3-70b") { _ in },
            changed(eight, "deepseek-r1-distill-llama-8b") { _ in },
            changed(seventy, "deepseek-r1-distill-llama-70b") { _ in },
            dense(
                "llama-3.1-405b", 126, 16384, heads: 128, kv: 8, head: 128, ffn: 53248, vocabulary: 128_256,
                positions: 131_072),
            dense("llama-2-7b", 32, 4096, heads: 32, kv: 32, head: 128, ffn: 11008, vocabulary: 32000, positions: 4096),
            dense(
                "llama-2-13b", 40, 5120, heads: 40, kv: 40, head: 128, ffn: 13824, vocabulary: 32000, positions: 4096),
            dense("llama-2-70b", 80, 8192, heads: 64, kv: 8, head: 128, ffn: 28672, vocabulary: 32000, positions: 4096),
        ]
    }()

    private static let qwen: [Entry] = {
        func moe(_ name: String, _ layers: Int, _ hidden: Int, heads: Int, ffn: Int, expert: Int) -> Entry {
            changed(
                dense(
                    name, layers, hidden, heads: heads, kv: 4, head: 128, ffn: ffn, vocabulary: 151_936,
                    positions: 40960)
            ) { $0.experts = .init(count: 128, active: 8, size: expert) }
        }
        let small = [
            ("qwen2.5-0.5b", 24, 896, 14, 2, 64, 4864), ("qwen2.5-1.5b", 28, 1536, 12, 2, 128, 8960),
            ("qwen2.5-3b", 36, 2048, 16, 2, 128, 11008), ("qwen3-0.6b", 28, 1024, 16, 8, 128, 3072),
            ("qwen3-1.7b", 28, 2048, 16, 8, 128, 6144), ("qwen3-4b", 36, 2560, 32, 8, 128, 9728),
        ].map { name, layers, hidden, heads, kv, head, ffn in
            dense(
                name, layers, hidden, heads: heads, kv: kv, head: head, ffn: ffn, vocabulary: 151_936,
                positions: name.hasPrefix("qwen3") ? 40960 : 32768, tied: true)
        }
        let large = [
            ("qwen2.5-7b", 28, 3584, 28, 4, 18944, 152_064), ("qwen2.5-14b", 48, 5120, 40, 8, 13824, 152_064),
            ("qwen2.5-32b", 64, 5120, 40, 8, 27648, 152_064), ("qwen2.5-72b", 80, 8192, 64, 8, 29568, 152_064),
            ("qwq-32b", 64, 5120, 40, 8, 27648, 152_064), ("qwen3-8b", 36, 4096, 32, 8, 12288, 151_936),
            ("qwen3-14b", 40, 5120, 40, 8, 17408, 151_936), ("qwen3-32b", 64, 5120, 64, 8, 25600, 151_936),
            ("deepseek-r1-distill-qwen-7b", 28, 3584, 28, 4, 18944, 152_064),
            ("deepseek-r1-distill-qwen-14b", 48, 5120, 40, 8, 13824, 152_064),
            ("deepseek-r1-distill-qwen-32b", 64, 5120, 40, 8, 27648, 152_064),
        ].map { name, layers, hidden, heads, kv, ffn, vocabulary in
            dense(
                name, layers, hidden, heads: heads, kv: kv, head: 128, ffn: ffn, vocabulary: vocabulary,
                positions: name.hasPrefix("qwen3") || name.hasPrefix("qwq") ? 40960 : 32768)
        }
        return small + large + [
            moe("qwen3-30b-a3b", 48, 2048, heads: 32, ffn: 6144, expert: 768),
            moe("qwen3-235b-a22b", 94, 4096, heads: 64, ffn: 12288, expert: 1536),
        ]
    }()

    private static let mistral: [Entry] = [
        dense("mistral-7b", 32, 4096, heads: 32, kv: 8, head: 128, ffn: 14336, vocabulary: 32768, positions: 32768),
        dense(
            "mistral-nemo", 40, 5120, heads: 32, kv: 8, head: 128, ffn: 14336, vocabulary: 131_072, positions: 131_072),
        dense(
            "mistral-small-24b", 40, 5120, heads: 32, kv: 8, head: 128, ffn: 32768, vocabulary: 131_072,
            positions: 32768),
        dense(
            "mistral-large", 88, 12288, heads: 96, kv: 8, head: 128, ffn: 28672, vocabulary: 32768, positions: 131_072),
        changed(
            dense(
                "mixtral-8x7b", 32, 4096, heads: 32, kv: 8, head: 128, ffn: 14336, vocabulary: 32000, positions: 32768)
        ) { $0.experts = .init(count: 8, active: 2, size: 14336) },
        changed(
            dense(
                "mixtral-8x22b", 56, 6144, heads: 48, kv: 8, head: 128, ffn: 16384, vocabulary: 32768, positions: 65536)
        ) { $0.experts = .init(count: 8, active: 2, size: 16384) },
    ]

    private static let deepseek: [Entry] = {
        func latent(
            _ name: String, _ layers: Int, _ hidden: Int, heads: Int, queryRank: Int?, ffn: Int, vocabulary: Int,
            positions: Int, experts: ModelShape.Experts, _ change: (inout ModelShape) -> Void = { _ in }
        ) -> Entry {
            changed(
                dense(
                    name, layers, hidden, heads: heads, kv: heads, head: 192, ffn: ffn, vocabulary: vocabulary,
                    positions: positions)
            ) { shape in
                shape.latent = .init(
                    queryRank: queryRank, kvRank: 512, plainDimension: 128, rotaryDimension: 64, valueDimension: 128)
                shape.experts = experts
                change(&shape)
            }
        }
        let three = latent(
            "deepseek-v3", 61, 7168, heads: 128, queryRank: 1536, ffn: 18432, vocabulary: 129_280, positions: 163_840,
            experts: .init(count: 256, active: 8, size: 2048, sharedSize: 2048, denseLayers: 3)
        ) { shape in
            shape.draftLayers = 1
            shape.quantization = "fp8"
            shape.quantizedBits = 8
        }
        let lite = latent(
            "deepseek-v2-lite", 27, 2048, heads: 16, queryRank: nil, ffn: 10944, vocabulary: 102_400,
            positions: 163_840, experts: .init(count: 64, active: 6, size: 1408, sharedSize: 2816, denseLayers: 1))
        return [
            three, changed(three, "deepseek-r1") { _ in }, lite,
            changed(lite, "deepseek-coder-v2-lite") { _ in },
            latent(
                "deepseek-v2", 60, 5120, heads: 128, queryRank: 1536, ffn: 12288, vocabulary: 102_400,
                positions: 163_840, experts: .init(count: 160, active: 6, size: 1536, sharedSize: 3072, denseLayers: 1)),
            latent(
                "kimi-k2", 61, 7168, heads: 64, queryRank: 1536, ffn: 18432, vocabulary: 163_840, positions: 131_072,
                experts: .init(count: 384, active: 8, size: 2048, sharedSize: 2048, denseLayers: 1)
            ) { shape in
                shape.quantization = "fp8"
                shape.quantizedBits = 8
            },
        ]
    }()

    private static let other: [Entry] = {
        func opt(_ name: String, _ layers: Int, _ hidden: Int, heads: Int) -> Entry {
            changed(
                dense(
                    name, layers, hidden, heads: heads, kv: heads, head: hidden / heads, ffn: 4 * hidden,
                    vocabulary: 50272, positions: 2048, tied: true)
            ) { $0.hasGatedFeedForward = false }
        }
        func windowed(_ entry: Entry, window: Int, layers: Int) -> Entry {
            changed(entry) { shape in
                shape.slidingWindow = window
                shape.slidingLayers = layers
            }
        }
        func oss(_ name: String, _ layers: Int, experts: Int) -> Entry {
            changed(
                windowed(
                    dense(
                        name, layers, 2880, heads: 64, kv: 8, head: 64, ffn: 2880, vocabulary: 201_088,
                        positions: 131_072), window: 128, layers: layers / 2)
            ) { shape in
                shape.experts = .init(count: experts, active: 4, size: 2880)
                shape.quantization = "mxfp4"
                shape.quantizedBits = 4
            }
        }
        return [
            opt("opt-125m", 12, 768, heads: 12), opt("opt-1.3b", 24, 2048, heads: 32),
            opt("opt-6.7b", 32, 4096, heads: 32), opt("opt-13b", 40, 5120, heads: 40),
            opt("opt-30b", 48, 7168, heads: 56), opt("opt-66b", 64, 9216, heads: 72),
            opt("opt-175b", 96, 12288, heads: 96),
            dense("phi-4", 40, 5120, heads: 40, kv: 10, head: 128, ffn: 17920, vocabulary: 100_352, positions: 16384),
            windowed(
                dense(
                    "gemma-2-9b", 42, 3584, heads: 16, kv: 8, head: 256, ffn: 14336, vocabulary: 256_000,
                    positions: 8192, tied: true), window: 4096, layers: 21),
            windowed(
                dense(
                    "gemma-2-27b", 46, 4608, heads: 32, kv: 16, head: 128, ffn: 36864, vocabulary: 256_000,
                    positions: 8192, tied: true), window: 4096, layers: 23),
            windowed(
                dense(
                    "gemma-3-27b", 62, 5376, heads: 32, kv: 16, head: 128, ffn: 21504, vocabulary: 262_208,
                    positions: 131_072, tied: true), window: 1024, layers: 52),
            oss("gpt-oss-20b", 24, experts: 32), oss("gpt-oss-120b", 36, experts: 128),
        ]
    }()
}
