/// A value that changes from operation to operation and lives in an object, as those of connections and drivers do.
final class Held<Value: ~Copyable> {
    var value: Value

    init(_ value: consuming Value) { self.value = value }
}
