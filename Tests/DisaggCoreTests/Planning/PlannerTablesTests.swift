import DisaggCore
import Testing

@Suite struct PlannerTablesTests {
    /// With `DISAGG_PLANNER_TABLES` the file is written there.
    @Test func theDocumentedTablesAreWhatThePlannerSays() throws {
        let text = try PlannerTables.markdown()
        if let path = ExecutableSearch.variable("DISAGG_PLANNER_TABLES") { try HostFiles.write(text, to: path) }
        let documented = try ConfigFile.text("\(LaunchScene.root)/Docs/PlannerTables.md", limit: 1 << 20)
        #expect(
            documented == text,
            "write it anew: DISAGG_PLANNER_TABLES=Docs/PlannerTables.md swift test --filter PlannerTablesTests")
    }
}
