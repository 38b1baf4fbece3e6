import Testing

@testable import DisaggCore

@Suite("Slot table")
struct SlotTableTests {
    private final class Thing {}

    @Test("what is added is there until it is removed, and places are used again")
    func places() {
        var table = SlotTable<Thing>()
        #expect(table.isEmpty)
        let things = (0..<3).map { _ in Thing() }
        let places = things.map { table.add($0) }
        #expect(Set(places).count == 3 && !table.isEmpty)
        table.remove(places[1])
        #expect(table.values.map(ObjectIdentifier.init) == [things[0], things[2]].map(ObjectIdentifier.init))
        #expect(table.add(things[1]) == places[1])
        for place in places { table.remove(place) }
        #expect(table.isEmpty && table.values.isEmpty)
    }
}
