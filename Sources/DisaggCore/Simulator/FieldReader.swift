/// Typed access to a request's members, with pydantic's complaint where the type is wrong.
struct FieldReader {
    var fields: [String: JSONView]
    /// The endpoint, which the complaint names.
    var path: String

    func int(_ name: String) throws(SimulatedAPIError) -> Int? {
        guard let field = fields[name] else { return nil }
        if let value = field.int { return value }
        if let value = field.double, value.rounded() == value, abs(value) < 1e15 { return Int(value) }
        throw wrongType(name, "int_parsing", "Input should be a valid integer")
    }

    func double(_ name: String) throws(SimulatedAPIError) -> Double? {
        guard let field = fields[name] else { return nil }
        guard let value = field.double else { throw wrongType(name, "float_type", "Input should be a valid number") }
        return value
    }

    func bool(_ name: String) throws(SimulatedAPIError) -> Bool? {
        guard let field = fields[name] else { return nil }
        guard let value = field.bool else { throw wrongType(name, "bool_type", "Input should be a valid boolean") }
        return value
    }

    func string(_ name: String) throws(SimulatedAPIError) -> String? {
        guard let field = fields[name] else { return nil }
        guard let value = field.string else { throw wrongType(name, "string_type", "Input should be a valid string") }
        return value
    }

    /// A string or a list of strings.
    func strings(_ name: String) throws(SimulatedAPIError) -> [String] {
        guard let field = fields[name] else { return [] }
        if let value = field.string { return [value] }
        let values = field.elements.compactMap(\.string)
        guard field.kind == .array, values.count == field.elements.count else {
            throw wrongType(name, "string_type", "Input should be a valid string")
        }
        return values
    }

    func integers(_ name: String) throws(SimulatedAPIError) -> [Int] {
        guard let field = fields[name] else { return [] }
        guard let values = field.integers else { throw wrongType(name, "int_type", "Input should be a valid integer") }
        return values
    }

    func wrongType(_ name: String, _ type: String, _ message: String) -> SimulatedAPIError {
        let input = fields[name]?.rawString ?? "null"
        return .validation(
            "'type': '\(type)', 'loc': ('body', '\(name)'), 'msg': '\(message)', 'input': \(input)",
            location: "body.\(name)", path: path)
    }
}

extension JSONView {
    /// An array of integers, nil where the value is anything else. One pass: prompts have thousands of ids.
    var integers: [Int]? {
        guard kind == .array else { return nil }
        var result: [Int] = []
        var value: Int?
        var negative = false
        for byte in raw.dropFirst() {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                let product = (value ?? 0).multipliedReportingOverflow(by: 10)
                let sum = product.partialValue.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
                guard !product.overflow, !sum.overflow else { return nil }
                value = sum.partialValue
            case UInt8(ascii: "-"): negative = true
            case UInt8(ascii: ","), UInt8(ascii: "]"):
                guard let number = value else { return byte == UInt8(ascii: "]") && result.isEmpty ? [] : nil }
                result.append(negative ? -number : number)
                value = nil
                negative = false
            case 0x20, 0x0A, 0x0D, 0x09: continue
            default: return nil
            }
        }
        return result
    }
}
