import Testing

@testable import DisaggCore

@Suite struct NvidiaSMITests {
    @Test func aQueryWithoutHeadingAndUnitsGivesDevices() throws {
        let devices = try NvidiaSMI.devices(query: try PlanningFixture.text("nvidia-smi/query-h100-sxm-2.csv"))
        #expect(devices.map(\.index) == [0, 1])
        #expect(devices[0].uuid == "GPU-8e5759bf-9118-4884-149b-e9d93aa91558")
        #expect(devices[1].memoryMiB == 81_559)
        #expect(devices[0].model?.name == "H100-SXM")
        #expect(devices.allSatisfy { $0.unavailability == nil })
    }

    @Test func aQueryWithHeadingAndUnitsGivesTheSame() throws {
        let devices = try NvidiaSMI.devices(
            query: """
                index, uuid, name, memory.total [MiB], memory.used [MiB], mig.mode.current
                3, GPU-1, NVIDIA A100-SXM4-80GB, 81920 MiB, 70123 MiB, Enabled
                4, GPU-2, Tesla T4, 15360 MiB, 3 MiB, [N/A]
                """)
        #expect(devices[0].isPartitioned)
        #expect(devices[0].unavailability?.contains("MIG") == true)
        #expect(devices[1].model == nil)
    }

    @Test func aBusyGPUSaysWhoUsesIt() throws {
        var devices = try NvidiaSMI.devices(query: "0, GPU-1, NVIDIA H200, 143771, 41000, Disabled\n")
        #expect(devices[0].unavailability?.contains("41000 of 143771 MiB") == true)
        NvidiaSMI.addProcesses(
            query: "gpu_uuid, pid, used_gpu_memory [MiB], process_name\nGPU-1, 4711, 40990 MiB, python3, -m vllm\n",
            to: &devices)
        #expect(devices[0].processes == [.init(id: 4711, usedMiB: 40_990, name: "python3, -m vllm")])
        #expect(devices[0].unavailability?.contains("process 4711") == true)
    }

    @Test func otherTextIsRefusedWithItsLine() {
        #expect {
            try NvidiaSMI.devices(
                query: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
        } throws: { "\($0)".contains("line 1") }
    }

    @Test func theListTellsMIGDevices() throws {
        let devices = NvidiaSMI.devices(list: try PlanningFixture.text("nvidia-smi/list-a100-mig.txt"))
        #expect(devices.count == 1)
        #expect(devices[0].isPartitioned)
        #expect(devices[0].memoryMiB == 81_920)
        #expect(devices[0].uuid == "GPU-7fdaf0a5-179b-f636-d15d-daf243e3ff16")
    }

    @Test func anUnderlinedHeadingIsRead() throws {
        let matrix = try TopologyMatrix(parsing: try PlanningFixture.text("nvidia-smi/topo-h100-sxm-2.txt"))
        #expect(matrix.links == [[nil, .nvlink(18)], [.nvlink(18), nil]])
        #expect(matrix.nodes == [0, 0])
        #expect(matrix.processors == ["0-31", "0-31"])
    }

    @Test func networkCardsAreLeftOut() throws {
        let matrix = try TopologyMatrix(parsing: try PlanningFixture.text("nvidia-smi/topo-h200-8-nics.txt"))
        #expect(matrix.indices == Array(0..<8))
        #expect(matrix.nodes == [0, 0, 0, 0, 1, 1, 1, 1])
        #expect(matrix.processors[5] == "56-111,168-223")
        #expect(try PlanningFixture.host("topo-h200-8-nics.txt").islands.map(\.count) == [8])
    }

    @Test func columnsSetApartByBlanksAndListsOfProcessorsAreRead() throws {
        let matrix = try TopologyMatrix(parsing: try PlanningFixture.text("nvidia-smi/topo-h100-4-nv6.txt"))
        #expect(matrix.nodes == [3, 1, 7, 5])
        #expect(matrix.processors[0] == "6,14,22,30")
        #expect(matrix.links[0][3] == .nvlink(6))
    }

    @Test func aMeshHasIslandsOfFour() throws {
        let host = try PlanningFixture.host("topo-v100-8-mesh.txt")
        #expect(host.islands == [[0, 1, 2, 3], [4, 5, 6, 7]])
        #expect(host.links[0][4] == .nvlink(2))
        #expect(host.links[0][5] == .betweenSockets)
    }

    @Test func aTableWithoutNodesIsRead() throws {
        let host = try PlanningFixture.host("topo-titanv-8-pcie.txt")
        #expect(host.nodes.allSatisfy { $0 == nil })
        #expect(host.links[0][1] == .samePCIeBridge)
        #expect(host.links[0][2] == .hostBridge)
        #expect(host.islands.map(\.count) == Array(repeating: 1, count: 8))
    }

    @Test func aTableCutAnywhereNeverTraps() throws {
        let text = try PlanningFixture.text("nvidia-smi/topo-v100-8-mesh.txt").prefix(900)
        for length in 0..<text.count { _ = try? TopologyMatrix(parsing: String(text.prefix(length))) }
    }

    @Test func devicesAreSelectedByIndexAndUUID() throws {
        let host = try PlanningFixture.host("topo-h200-8-nics.txt")
        #expect(try host.selecting(["6", "GPU-2a"]).devices.map(\.index) == [6, 2])
        #expect(throws: CommandError.self) { try host.selecting(["GPU-"]) }
        #expect(throws: CommandError.self) { try host.selecting(["9"]) }
    }

    @Test func namesAreFoundWhateverTheirForm() throws {
        for name in ["h200", "H200-SXM", "NVIDIA H200", "nvidia_h200"] {
            #expect(try GPUCatalog.named(name).name == "H200")
        }
        #expect(try GPUCatalog.named("NVIDIA H100 PCIe").name == "H100-PCIe")
        #expect(GPUCatalog.reported(name: "NVIDIA H20", memoryMiB: 143_771)?.name == "H20-141GB")
        #expect(GPUCatalog.reported(name: "NVIDIA H20", memoryMiB: nil) == nil)
        #expect { try GPUCatalog.named("Voodoo2") } throws: {
            "\($0)".contains("H100-SXM") && "\($0)".contains("calibrate")
        }
    }
}
