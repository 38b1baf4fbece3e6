import Testing

@testable import DisaggCore

@Suite("Model shapes")
struct ModelShapeTests {
    @Test(
        "bytes a token agree with LMCache's own numbers",
        arguments: [
            ("meta-llama/Llama-3.2-1B-Instruct", 32_768), ("meta-llama/Llama-3.2-3B", 114_688),
            ("Qwen/Qwen2.5-0.5B", 12_288), ("Qwen/Qwen2.5-7B-Instruct", 57_344),
            ("meta-llama/Llama-3.1-8B-Instruct", 131_072), ("meta-llama/Meta-Llama-3.1-8B", 131_072),
            ("Qwen/Qwen3-8B", 147_456), ("/models/Qwen3-32B", 262_144), ("Llama-3.1-70B", 327_680),
            ("deepseek-ai/DeepSeek-V3", 70_272), ("moonshotai/Kimi-K2-Instruct", 70_272),
            ("Qwen/Qwen3-235B-A22B", 192_512), ("meta-llama/Llama-3.1-405B", 516_096),
            ("facebook/opt-13b", 819_200), ("facebook/opt-66b", 2_359_296), ("facebook/opt-175b", 4_718_592),
        ])
    func bytesPerToken(model: String, expected: Int) throws {
        #expect(try #require(ModelCatalog.named(model)).kvBytesPerToken() == expected)
    }

    @Test(
        "parameter counts agree with the models' cards",
        arguments: [
            ("Llama-3.1-8B", 8.030), ("Llama-3.1-70B", 70.554), ("Llama-3.1-405B", 405.85), ("Qwen3-8B", 8.191),
            ("Qwen3-32B", 32.762), ("Qwen2.5-7B", 7.616), ("Qwen2.5-72B", 72.706), ("Qwen3-30B-A3B", 30.532),
            ("Mistral-7B-v0.3", 7.248), ("Mixtral-8x7B", 46.703), ("DeepSeek-V3", 671.0), ("DeepSeek-V2-Lite", 15.706),
            ("Kimi-K2", 1026), ("gemma-2-9b", 9.242), ("opt-66b", 65.7),
        ])
    func parameters(model: String, billions: Double) throws {
        let shape = try #require(ModelCatalog.named(model))
        let counted = Double(shape.parameters) / 1e9
        #expect(abs(counted / billions - 1) < 0.003, "\(model): \(counted) B")
    }

    @Test("tokens of a mixture of experts go through a part of it")
    func activeParameters() throws {
        let shape = try #require(ModelCatalog.named("deepseek-ai/DeepSeek-V3"))
        let active = Double(shape.activeLinearParameters + shape.embeddingParameters) / 1e9
        #expect(abs(active / 37 - 1) < 0.03, "\(active) B")
        let dense = try #require(ModelCatalog.named("Llama-3.1-8B"))
        #expect(dense.activeLinearParameters == dense.linearParameters)
    }

    @Test("ranks share heads, but never split one, and a latent cache is whole on each")
    func ranks() throws {
        let llama = try #require(ModelCatalog.named("Llama-3.1-8B"))
        #expect(llama.kvBytesPerToken(tensorParallel: 2) == 65_536)
        #expect(llama.kvBytesPerToken(tensorParallel: 16) == 131_072 / 8)
        #expect(llama.kvBytesPerToken(pipelineParallel: 2) == 65_536)
        #expect(llama.kvBytesPerToken(valueBytes: 1) == 65_536)
        #expect(llama.kvBytesPerToken(draftLayers: 1) == 131_072 / 32 * 33)
        let deepseek = try #require(ModelCatalog.named("DeepSeek-V3"))
        #expect(deepseek.kvBytesPerToken(tensorParallel: 8) == 70_272)
    }

    @Test("the longest name wins, and a name that only begins alike is unknown")
    func names() throws {
        #expect(try #require(ModelCatalog.named("deepseek-ai/DeepSeek-R1-Distill-Llama-8B")).isLatent == false)
        #expect(try #require(ModelCatalog.named("deepseek-ai/DeepSeek-R1-0528")).isLatent)
        #expect(ModelCatalog.named("Qwen/Qwen2.5-Coder-7B-Instruct") == ModelCatalog.named("Qwen/Qwen2.5-7B"))
        #expect(ModelCatalog.named("someone/unknown") == nil)
        #expect(ModelCatalog.named("x/qwen3-80b") == nil && ModelCatalog.named("") == nil)
    }

    @Test("a quantisation in the name makes weights smaller, not the KV cache")
    func quantized() throws {
        let plain = try #require(ModelCatalog.named("Qwen/Qwen3-8B"))
        let small = try #require(ModelCatalog.named("Qwen/Qwen3-8B-AWQ"))
        #expect(small.quantizedBits == 4 && small.weightBytes < plain.weightBytes / 2)
        #expect(small.kvBytesPerToken() == plain.kvBytesPerToken())
        #expect(abs(Double(plain.weightBytes) / 16.38e9 - 1) < 0.01)
    }

    @Test("config.json gives the same shape as the table")
    func configuration() throws {
        let llama = try ModelShape(
            configJSON: """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
                 "intermediate_size": 14336, "max_position_embeddings": 131072, "num_attention_heads": 32,
                 "num_hidden_layers": 32, "num_key_value_heads": 8, "tie_word_embeddings": false,
                 "torch_dtype": "bfloat16", "vocab_size": 128256}
                """)
        #expect(llama == ModelCatalog.named("Llama-3.1-8B"))
        let deepseek = try ModelShape(
            configJSON: """
                {"model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432,
                 "moe_intermediate_size": 2048, "num_attention_heads": 128, "num_key_value_heads": 128,
                 "num_hidden_layers": 61, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
                 "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1,
                 "num_experts_per_tok": 8, "first_k_dense_replace": 3, "moe_layer_freq": 1, "vocab_size": 129280,
                 "num_nextn_predict_layers": 1, "max_position_embeddings": 163840, "tie_word_embeddings": false,
                 "head_dim": 192, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
                """)
        #expect(deepseek == ModelCatalog.named("DeepSeek-V3"))
        let windowed = try ModelShape(
            configJSON: """
                {"text_config": {"model_type": "gemma3_text", "hidden_size": 5376, "intermediate_size": 21504,
                 "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128, "num_hidden_layers": 62,
                 "sliding_window": 1024, "sliding_window_pattern": 6, "vocab_size": 262208,
                 "max_position_embeddings": 131072}, "torch_dtype": "bfloat16"}
                """)
        #expect(windowed == ModelCatalog.named("google/gemma-3-27b-it"))
    }

    @Test(
        "a config.json without what is needed, or with absurd sizes, is refused in words",
        arguments: [
            ("[]", "expected a JSON object"), ("{", "not JSON"), ("{}", "num_hidden_layers is missing"),
            (#"{"num_hidden_layers": 99999999999}"#, "expected 1...1024"),
            (#"{"num_hidden_layers": -1}"#, "expected 1...1024"),
            (#"{"num_hidden_layers": 4, "hidden_size": "big"}"#, "hidden_size: expected"),
            (
                #"{"num_hidden_layers": 4, "hidden_size": 8, "num_attention_heads": 0}"#,
                "num_attention_heads is missing"
            ),
        ])
    func refused(text: String, expected: String) {
        do throws(ModelShape.ConfigurationError) {
            _ = try ModelShape(configJSON: text)
            Issue.record("expected an error")
        } catch {
            #expect(error.description.contains(expected), "\(error)")
        }
    }

    @Test("the largest sizes that are accepted overflow nothing")
    func largest() throws {
        let shape = try ModelShape(
            configJSON: """
                {"num_hidden_layers": 1024, "hidden_size": 131072, "num_attention_heads": 4096, "head_dim": 4096,
                 "intermediate_size": 524288, "moe_intermediate_size": 524288, "num_experts": 4096,
                 "n_shared_experts": 64, "vocab_size": 4194304, "num_nextn_predict_layers": 64,
                 "torch_dtype": "float32"}
                """)
        #expect(shape.weightBytes > 0 && shape.kvBytesPerToken(draftLayers: 64) > 0)
    }

    @Test("a deployment takes its model's shape from the file it names, and says where that fails")
    func deployment() throws {
        let scene = try LaunchScene()
        let path = scene.directory + "/config.json"
        try RunDirectory.write(
            .init(
                path: path,
                contents: #"{"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 99}"#))
        let deployment = try Deployment(yaml: "model: my/own\nmodelConfig: \(path)")
        #expect(deployment.modelShape?.kvBytesPerToken() == 2 * 2 * 64 * 2)
        #expect(try Deployment(yaml: DeploymentWriter.yaml(deployment)) == deployment)
        let folder = try Deployment(yaml: "model: \(scene.directory)/")
        #expect(folder.modelShape?.layers == 2)
        do throws(DeploymentError) {
            _ = try Deployment(yaml: "modelConfig: /nonexistent/config.json", fileName: "d.yaml")
            Issue.record("expected an error")
        } catch {
            #expect(error.description.hasPrefix("d.yaml:1:14: modelConfig: /nonexistent/config.json cannot be read"))
        }
    }
}
