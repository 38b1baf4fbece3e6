/// Objects that come and go, each in a numbered place that tells where it is: nothing is hashed.
struct SlotTable<Element: AnyObject> {
    private var places: [Element?] = []
    private var free: [Int] = []

    /// Whether there is none.
    var isEmpty: Bool { places.count == free.count }

    /// All objects; a list of its own, so that they may leave meanwhile.
    var values: [Element] { places.compactMap { $0 } }

    /// Adds an object.
    ///
    /// - Returns: its place, for ``remove(_:)``.
    mutating func add(_ element: Element) -> Int {
        guard let place = free.popLast() else {
            places.append(element)
            return places.count - 1
        }
        places[place] = element
        return place
    }

    /// Removes the object at a place, which is there.
    mutating func remove(_ place: Int) {
        places[place] = nil
        free.append(place)
    }
}
