internal import NIOCore

extension MemberReader {
    /// How many elements a list has that is a member; 0 where there is no list.
    func elementCount(_ name: StaticString) -> Int {
        guard let list = raw(name) else { return 0 }
        return list.withUnsafeReadableBytes { bytes in
            var cursor = JSONCursor(bytes)
            guard cursor.openArray() else { return 0 }
            var count = 0
            // The body was checked: nothing is thrown.
            while (try? cursor.nextElement()) == true, (try? cursor.skipValue()) != nil { count += 1 }
            return count
        }
    }
}
