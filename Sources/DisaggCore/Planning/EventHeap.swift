/// A binary heap of pairs, the least first; for the engines' finish steps and arrivals.
///
/// Plain arrays and no generics over comparators: it is the inner loop of a simulation of a hundred thousand requests a
/// second.
struct EventHeap<Key: Comparable & Sendable>: Sendable {
    private var items: [(key: Key, value: Int)] = []

    var isEmpty: Bool { items.isEmpty }
    var count: Int { items.count }
    var first: (key: Key, value: Int)? { items.first }

    mutating func insert(_ key: Key, _ value: Int) {
        items.append((key, value))
        var index = items.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard items[index].key < items[parent].key else { return }
            items.swapAt(index, parent)
            index = parent
        }
    }

    mutating func removeFirst() -> (key: Key, value: Int)? {
        guard let top = items.first, let last = items.popLast() else { return nil }
        guard !items.isEmpty else { return top }
        items[0] = last
        var index = 0
        while true {
            let left = 2 * index + 1
            guard left < items.count else { return top }
            let right = left + 1
            let child = right < items.count && items[right].key < items[left].key ? right : left
            guard items[child].key < items[index].key else { return top }
            items.swapAt(index, child)
            index = child
        }
    }
}
