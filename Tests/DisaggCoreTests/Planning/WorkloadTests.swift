import DisaggCore
import Testing

@Suite struct WorkloadTests {
    @Test func tracesOfThreeFormsAreRead() throws {
        let expected = [
            WorkloadRequest(arrival: 0, inputTokens: 100, outputTokens: 5),
            WorkloadRequest(arrival: 1_500, inputTokens: 7, outputTokens: 1),
        ]
        let texts = [
            "{\"timestamp\": 0, \"input_length\": 100, \"output_length\": 5, \"hash_ids\": [1]}\n"
                + "{\"timestamp\": 1500, \"input_length\": 7, \"output_length\": 0}\n",
            "[{\"start_time\": 1.5, \"prompt_len\": 7, \"output_len\": 1}, {\"start_time\": 0, \"prompt_len\": 100, \"output_len\": 5}]",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.500,100,5\n2023-11-16 18:17:05.000,7,1\n",
        ]
        for text in texts { #expect(try WorkloadTrace.parse(text, name: "t") == expected) }
    }

    @Test(arguments: [
        "", "x,y\n1,2\n", "{\"timestamp\": 0}", "[{}]", "start_time,input_tokens,output_tokens\n1,2\n",
        "start_time,input_tokens,output_tokens\n1,-2,3\n", "[1",
    ])
    func otherTextIsRefused(text: String) {
        #expect { try WorkloadTrace.parse(text, name: "t") } throws: { "\($0)".hasPrefix("t") }
    }

    @Test func lengthsHaveTheirMeans() throws {
        for text in ["7500", "1000-3000", "1155~0.8"] {
            let lengths = try LengthDistribution(text, option: "--isl")
            let requests = Workload(input: lengths, output: .constant(1), rate: 1).requests(count: 40_000, seed: 1)
            let mean = Double(requests.reduce(0) { $0 + $1.inputTokens }) / 40_000
            #expect(abs(mean / lengths.mean - 1) < 0.02, "\(text): \(mean)")
        }
    }

    @Test func arrivalsHaveTheirRate() {
        for burstiness in [0.5, 1, .infinity] {
            let load = Workload(input: .constant(1), output: .constant(1), rate: 40, burstiness: burstiness)
            let last = load.requests(count: 20_001, seed: 9).last?.arrival ?? 0
            #expect(abs(last / 500_000 - 1) < 0.05, "\(burstiness)")
        }
    }

    @Test func aTraceScalesToARate() {
        let trace = (0..<101).map { WorkloadRequest(arrival: Double($0) * 100 + 50, inputTokens: 10, outputTokens: 2) }
        let load = Workload(trace: trace)
        #expect(abs(load.rate - 10) < 1e-9)
        #expect(load.requests(count: 1_000, rate: 20, seed: 0).last?.arrival == 5_000)
    }
}
