import Testing

@testable import DisaggCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Every hand-off under every fault: the client gets a right answer or a well-formed error in time, no live engine dies, and
/// no KV stays behind.
///
/// The quick run takes every hand-off and every fault once: with two engines a role, streams and whole answers in turn. With
/// `DISAGG_FAULT_MATRIX=all`, or a path to write the table to, every combination runs:
/// `DISAGG_FAULT_MATRIX=Docs/FaultMatrix.md ./disagg test fault-matrix`.
@Suite("Fault matrix", .timeLimit(.minutes(20)))
struct FaultMatrixTests {
    /// Cells at a time: most of a cell is waiting for a deadline.
    private static let width = 12

    private static var environment: String? { getenv("DISAGG_FAULT_MATRIX").map { String(cString: $0) } }

    private static func cells(isFull: Bool) -> [FaultCell] {
        var cells: [FaultCell] = []
        for (row, mode) in Topology.everyMode.enumerated() {
            for (column, fault) in Fault.allCases.enumerated() {
                let sizes = isFull ? FaultMatrixTable.columns(of: mode) : [mode.sized(2, 2)]
                for topology in sizes {
                    for isStream in [false, true] where fault.applies(to: mode, isStream: isStream) {
                        let other = fault.applies(to: mode, isStream: !isStream)
                        guard isFull || !other || isStream == ((row + column) % 2 == 0) else { continue }
                        cells.append(FaultCell(topology: topology, fault: fault, isStream: isStream))
                    }
                }
            }
        }
        return cells
    }

    @Test("no cell leaks, crashes a live engine, hangs past its deadline or gives a malformed answer")
    func matrix() async throws {
        let environment = Self.environment
        let cells = Self.cells(isFull: environment != nil)
        let outcomes = try await Self.run(cells)
        for outcome in outcomes where !outcome.problems.isEmpty {
            let cell = outcome.cell
            Issue.record(
                "\(cell.topology.testDescription), \(cell.fault.rawValue), \(cell.isStream ? "stream" : "whole"): \(outcome.text)"
            )
        }
        #expect(outcomes.count == cells.count)
        if let environment, environment != "all" { try FaultMatrixTable(outcomes).write(to: environment) }
    }

    private static func run(_ cells: [FaultCell]) async throws -> [FaultOutcome] {
        var outcomes: [FaultOutcome?] = Array(repeating: nil, count: cells.count)
        try await withThrowingTaskGroup(of: (Int, FaultOutcome).self) { group in
            for (index, cell) in cells.enumerated() {
                if index >= width, let (done, outcome) = try await group.next() { outcomes[done] = outcome }
                group.addTask { (index, try await cell.run()) }
            }
            for try await (done, outcome) in group { outcomes[done] = outcome }
        }
        return outcomes.compactMap { $0 }
    }
}
