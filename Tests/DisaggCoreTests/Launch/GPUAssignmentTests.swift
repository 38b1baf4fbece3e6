import Testing

@testable import DisaggCore

@Suite("GPU assignment")
struct GPUAssignmentTests {
    private func assign(
        _ yaml: String, allowed: [Int], present: Int? = 8, host: GPUHost? = nil
    ) throws -> (prefill: [Int], decode: [Int]) {
        let deployment = try Deployment(yaml: yaml)
        let assigned = try GPUAssignment.assign(deployment, allowed: allowed, present: present, host: host)
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

    @Test("where the links are known, ranks stay together and away from busy GPUs")
    func placed() throws {
        var host = try PlanningFixture.host("topo-v100-8-mesh.txt")
        let yaml = "prefill: {tensorParallel: 4}\ndecode: {tensorParallel: 4}"
        let whole = try assign(yaml, allowed: Array(0..<8), host: host)
        #expect(Set([whole.prefill, whole.decode]) == [[0, 1, 2, 3], [4, 5, 6, 7]])
        let rest = "handoff: nixl\nprefill: {gpus: [0]}\ndecode: {tensorParallel: 2}"
        #expect(try assign(rest, allowed: [0, 3, 6, 7], host: host).decode == [6, 7])
        host.devices[6].usedMiB = 70_000
        let small = "handoff: nixl\ndecode: {tensorParallel: 2}"
        let found = try assign(small, allowed: Array(0..<8), host: host)
        #expect(!(found.prefill + found.decode).contains(6) && Set(found.prefill + found.decode).count == 3)
    }

    @Test("where too few GPUs are free, they are handed out in order: the check then says which are busy")
    func busy() throws {
        var host = try PlanningFixture.host("topo-v100-8-mesh.txt")
        for index in host.devices.indices { host.devices[index].usedMiB = 70_000 }
        let found = try assign("decode: {replicas: 1}", allowed: [2, 3], host: host)
        #expect(found.prefill == [2] && found.decode == [3])
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
