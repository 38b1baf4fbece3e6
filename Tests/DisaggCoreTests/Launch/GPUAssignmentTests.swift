import Testing

@testable import DisaggCore

@Suite("GPU assignment")
struct GPUAssignmentTests {
    private func assign(
        _ yaml: String, allowed: [Int], present: Int? = 8
    ) throws -> (prefill: [Int], decode: [Int]) {
        let deployment = try Deployment(yaml: yaml)
        let assigned = try GPUAssignment.assign(deployment, allowed: allowed, present: present)
        return (assigned.prefill.gpus, assigned.decode.gpus)
    }

    @Test("engines get disjoint GPUs in order, prefill first, from those that are allowed")
    func order() throws {
        let yaml = "prefill: {replicas: 2, tensorParallel: 2}\ndecode: {replicas: 1, tensorParallel: 2}"
        let found = try assign(yaml, allowed: [7, 1, 2, 3, 4, 5])
        #expect(found.prefill == [7, 1, 2, 3] && found.decode == [4, 5])
    }

    @Test("a group's own GPUs stay, and the other gets what is left")
    func explicit() throws {
        let found = try assign("decode: {gpus: [0]}", allowed: [0, 1])
        #expect(found.prefill == [1] && found.decode == [0])
    }

    @Test("engines that run elsewhere take none")
    func elsewhere() throws {
        let found = try assign("prefill: {urls: [gpu-1:8100]}", allowed: [3])
        #expect(found.prefill == [] && found.decode == [3])
    }

    @Test(
        "what cannot be is one clear error",
        arguments: [
            ("decode: {replicas: 3}", [0, 1], "the decode engines need 3 GPUs (3 of 1), but only 1 of 2 are left"),
            ("prefill: {gpus: [1]}\ndecode: {gpus: [1]}", [0, 1], "GPU 1 is given to prefill-0 and to decode-0"),
            ("decode: {gpus: [5]}", [0, 1], "gives GPU 5 to decode-0, which is not among the allowed ones (0,1)"),
            ("decode: {gpus: [9]}", [0, 1], "decode-0 needs GPU 9, but nvidia-smi finds 8"),
        ])
    func errors(yaml: String, allowed: [Int], expected: String) throws {
        let error = #expect(throws: CommandError.self) { try assign(yaml, allowed: allowed) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }

    @Test("lists are read with ranges, and bad ones name the option")
    func lists() throws {
        #expect(try GPUAssignment.list("0,2,4-7", option: "--gpus") == [0, 2, 4, 5, 6, 7])
        for text in ["", "a", "1,,2", "3-1", "-1", "0,0", "1-99999"] {
            let error = #expect(throws: CommandError.self) { try GPUAssignment.list(text, option: "--gpus") }
            #expect(error?.description.hasPrefix("--gpus") == true)
        }
    }
}
