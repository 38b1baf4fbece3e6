import Testing

@testable import DisaggCore

@Suite("Engine load")
struct EngineLoadReaderTests {
    private func read(_ page: String) -> EngineLoad? {
        Array(page.utf8).withUnsafeBytes { EngineLoadReader.prometheus($0, time: 7) }
    }

    @Test("a real vLLM's page is read, and its other families are not taken for the load")
    func vllm() throws {
        let page = try #require(ProcFile.text("\(LaunchScene.root)/Tests/Fixtures/vllm-0.24.0/21-metrics.http"))
        #expect(read(page) == EngineLoad(time: 7, running: 0, waiting: 0, cacheUsage: 0))
    }

    @Test("data-parallel engines are added up, the fullest cache counts")
    func dataParallel() {
        let page = """
            # HELP vllm:num_requests_running x
            vllm:num_requests_running{engine="0",model_name="a}b"} 3.0
            vllm:num_requests_running{engine="1",model_name="a}b"} 2.0 1700000000
            vllm:num_requests_waiting{engine="0"} 1
            vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 90
            vllm:kv_cache_usage_perc{engine="0"} 0.25
            vllm:kv_cache_usage_perc{engine="1"} 0.75
            """
        #expect(read(page) == EngineLoad(time: 7, running: 5, waiting: 1, cacheUsage: 0.75))
    }

    @Test("SGLang's names are read; pages without any, and broken numbers, say nothing")
    func others() {
        let page = "sglang:num_running_reqs{model=\"m\"} 4\nsglang:num_queue_reqs 2\nsglang:token_usage{} 0.5\n"
        #expect(read(page) == EngineLoad(time: 7, running: 4, waiting: 2, cacheUsage: 0.5))
        #expect(read("python_gc_objects_collected_total 5\n") == nil)
        #expect(read("vllm:num_requests_running NaN\nvllm:num_requests_waiting -1\nvllm:kv_cache_usage_perc") == nil)
        #expect(read("") == nil)
    }

    @Test("/load and /get_load are read")
    func endpoints() {
        #expect(EngineLoadReader.serverLoad(Array(#"{"server_load":3}"#.utf8), time: 7)?.running == 3)
        #expect(EngineLoadReader.serverLoad(Array("[]".utf8), time: 7) == nil)
        let ranks =
            #"[{"dp_rank":0,"num_reqs":3,"num_waiting_reqs":1},{"dp_rank":1,"num_reqs":1,"num_waiting_reqs":0}]"#
        #expect(EngineLoadReader.ranks(Array(ranks.utf8), time: 7) == EngineLoad(time: 7, running: 3, waiting: 1))
        #expect(EngineLoadReader.ranks(Array(#"[{"num_reqs":"3"}]"#.utf8), time: 7) == nil)
    }
}
