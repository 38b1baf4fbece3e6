#if canImport(Glibc)
import Glibc
#endif

/// What the fuzz tests share: how long they run and what they feed.
enum Fuzzing {
    /// `count`, fifty times that where the environment has `DISAGG_FUZZ=long`.
    static func iterations(_ count: Int) -> Int {
        guard let value = getenv("DISAGG_FUZZ"), String(cString: value) == "long" else { return count }
        return count * 50
    }

    /// Random bytes, mostly of an alphabet that gets past the first checks of the reader under test.
    static func bytes(_ alphabet: [UInt8], upTo limit: Int, using generator: inout SeededGenerator) -> [UInt8] {
        let count = Int(generator.next() % UInt64(limit + 1))
        var result: [UInt8] = []
        result.reserveCapacity(count)
        for _ in 0..<count {
            let random = generator.next()
            result.append(
                random % 16 == 0
                    ? UInt8(truncatingIfNeeded: random >> 8) : alphabet[Int((random >> 8) % UInt64(alphabet.count))])
        }
        return result
    }

    /// A text with a few bytes replaced, removed, doubled or cut off.
    static func mutated(_ text: [UInt8], using generator: inout SeededGenerator) -> [UInt8] {
        var result = text
        for _ in 0...Int(generator.next() % 3) where !result.isEmpty {
            let index = Int(generator.next() % UInt64(result.count))
            switch generator.next() % 5 {
            case 0: result[index] = UInt8(truncatingIfNeeded: generator.next())
            case 1: result.remove(at: index)
            case 2: result.insert(result[index], at: index)
            case 3: result.removeSubrange(index...)
            default: result[index] = result[Int(generator.next() % UInt64(result.count))]
            }
        }
        return result
    }
}
