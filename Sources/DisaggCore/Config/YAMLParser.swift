internal import CLibYAML

/// Reads one YAML document into nodes, through the system's libyaml.
///
/// Configuration is short, so everything is bounded: text size, nesting, and the number of nodes *after* aliases are
/// expanded, which stops the alias bombs that grow a few lines into gigabytes. Duplicate keys, several documents and
/// explicit tags are errors.
package struct YAMLParser {
    /// Largest text, in bytes.
    package static let maximumBytes = 1 << 20
    /// Deepest nesting of lists and mappings.
    package static let maximumDepth = 24
    /// Most nodes, aliases expanded.
    package static let maximumNodes = 20_000

    /// A node with what the bounds need to know of it.
    private struct Measured {
        var node: YAMLNode
        var height: Int
        var count: Int
    }

    private var parser: UnsafeMutablePointer<yaml_parser_t>
    private var anchors: [String: Measured] = [:]
    private var nodes = 0

    /// Parses a text that holds at most one document; an empty text gives a null scalar.
    package static func parse(_ text: String) throws(YAMLError) -> YAMLNode {
        let bytes = Array(text.utf8)
        guard bytes.count <= maximumBytes else {
            throw YAMLError(mark: .start, message: "the file is larger than \(maximumBytes) bytes")
        }
        // libyaml keeps a pointer to the text and to the parser, so both stay at one address for the whole parse.
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else {
            throw YAMLError(mark: .start, message: "libyaml could not start: out of memory")
        }
        defer { yaml_parser_delete(parser) }
        let result = bytes.withUnsafeBufferPointer { buffer -> Result<YAMLNode, YAMLError> in
            yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
            var reader = YAMLParser(parser: parser)
            do throws(YAMLError) {
                return .success(try reader.stream())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(parser: UnsafeMutablePointer<yaml_parser_t>) { self.parser = parser }

    // MARK: - Events

    /// The parts of a libyaml event that are used, copied out of its memory.
    private enum Event {
        case streamStart, streamEnd, documentStart, documentEnd, sequenceEnd, mappingEnd
        case scalar(String, plain: Bool, anchor: String?, tag: String?)
        case sequenceStart(anchor: String?, tag: String?)
        case mappingStart(anchor: String?, tag: String?)
        case alias(String)
    }

    private mutating func next() throws(YAMLError) -> (event: Event, mark: YAMLMark) {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw syntaxError() }
        defer { yaml_event_delete(&raw) }
        let mark = Self.mark(raw.start_mark)
        switch raw.type {
        case YAML_STREAM_START_EVENT: return (.streamStart, mark)
        case YAML_STREAM_END_EVENT: return (.streamEnd, mark)
        case YAML_DOCUMENT_START_EVENT: return (.documentStart, mark)
        case YAML_DOCUMENT_END_EVENT: return (.documentEnd, mark)
        case YAML_SEQUENCE_END_EVENT: return (.sequenceEnd, mark)
        case YAML_MAPPING_END_EVENT: return (.mappingEnd, mark)
        case YAML_ALIAS_EVENT: return (.alias(Self.text(raw.data.alias.anchor) ?? ""), mark)
        case YAML_SEQUENCE_START_EVENT:
            let data = raw.data.sequence_start
            return (.sequenceStart(anchor: Self.text(data.anchor), tag: Self.text(data.tag)), mark)
        case YAML_MAPPING_START_EVENT:
            let data = raw.data.mapping_start
            return (.mappingStart(anchor: Self.text(data.anchor), tag: Self.text(data.tag)), mark)
        case YAML_SCALAR_EVENT:
            let data = raw.data.scalar
            let text = String(decoding: UnsafeBufferPointer(start: data.value, count: data.length), as: UTF8.self)
            let plain = data.style == YAML_PLAIN_SCALAR_STYLE
            return (.scalar(text, plain: plain, anchor: Self.text(data.anchor), tag: Self.text(data.tag)), mark)
        default: throw YAMLError(mark: mark, message: "libyaml returned an event of unknown type")
        }
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        guard let pointer else { return nil }
        return String(decodingCString: UnsafePointer(pointer), as: UTF8.self)
    }

    private static func mark(_ mark: yaml_mark_t) -> YAMLMark {
        YAMLMark(line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
    }

    private func syntaxError() -> YAMLError {
        let failed = parser.pointee
        var message = failed.problem.map { String(cString: $0) } ?? "not YAML"
        if let context = failed.context { message = "\(message), \(String(cString: context))" }
        if failed.error == YAML_READER_ERROR { return YAMLError(mark: .start, message: "not UTF-8 text: \(message)") }
        return YAMLError(mark: Self.mark(failed.problem_mark), message: message)
    }

    // MARK: - Nodes

    private mutating func stream() throws(YAMLError) -> YAMLNode {
        _ = try next()
        guard case .documentStart = try next().event else {
            return YAMLNode(content: .scalar("", plain: true), mark: .start)
        }
        let (event, mark) = try next()
        let root = try node(event, mark, depth: 0).node
        _ = try next()
        let after = try next()
        guard case .streamEnd = after.event else {
            throw YAMLError(mark: after.mark, message: "expected one document, got a second one")
        }
        return root
    }

    private mutating func node(_ event: Event, _ mark: YAMLMark, depth: Int) throws(YAMLError) -> Measured {
        guard depth <= Self.maximumDepth else {
            throw YAMLError(mark: mark, message: "nested more than \(Self.maximumDepth) levels deep")
        }
        switch event {
        case .scalar(let text, let plain, let anchor, let tag):
            try count(1, mark)
            let node = YAMLNode(content: .scalar(text, plain: plain), mark: mark)
            return try keep(Measured(node: node, height: 0, count: 1), anchor, tag)
        case .sequenceStart(let anchor, let tag):
            try count(1, mark)
            var elements: [YAMLNode] = []
            var measured = Measured(node: YAMLNode(content: .sequence([]), mark: mark), height: 0, count: 1)
            while true {
                let (event, mark) = try next()
                if case .sequenceEnd = event { break }
                let element = try node(event, mark, depth: depth + 1)
                measured.height = max(measured.height, element.height + 1)
                measured.count += element.count
                elements.append(element.node)
            }
            measured.node.content = .sequence(elements)
            return try keep(measured, anchor, tag)
        case .mappingStart(let anchor, let tag):
            return try keep(try mapping(mark, depth: depth), anchor, tag)
        case .alias(let name):
            guard var target = anchors[name] else {
                throw YAMLError(mark: mark, message: "unknown alias *\(name)")
            }
            try count(target.count, mark)
            guard depth + target.height <= Self.maximumDepth else {
                throw YAMLError(mark: mark, message: "alias *\(name) nests more than \(Self.maximumDepth) levels deep")
            }
            target.node.mark = mark
            return target
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
            throw YAMLError(mark: mark, message: "expected a value")
        }
    }

    private mutating func mapping(_ mark: YAMLMark, depth: Int) throws(YAMLError) -> Measured {
        try count(1, mark)
        var members: [YAMLNode.Member] = []
        var seen: [String: YAMLMark] = [:]
        var measured = Measured(node: YAMLNode(content: .mapping([]), mark: mark), height: 0, count: 1)
        while true {
            let (event, keyMark) = try next()
            if case .mappingEnd = event { break }
            let keyNode = try node(event, keyMark, depth: depth + 1)
            guard case .scalar(let key, _) = keyNode.node.content else {
                throw YAMLError(mark: keyMark, message: "expected a key that is text, got \(keyNode.node.summary)")
            }
            if let first = seen.updateValue(keyMark, forKey: key) {
                throw YAMLError(
                    mark: keyMark, message: "duplicate key \"\(key)\", first given at \(first.line):\(first.column)")
            }
            let (valueEvent, valueMark) = try next()
            let value = try node(valueEvent, valueMark, depth: depth + 1)
            measured.height = max(measured.height, value.height + 1)
            measured.count += keyNode.count + value.count
            members.append(YAMLNode.Member(key: key, keyMark: keyMark, value: value.node))
        }
        measured.node.content = .mapping(members)
        return measured
    }

    private mutating func keep(_ measured: Measured, _ anchor: String?, _ tag: String?) throws(YAMLError) -> Measured {
        if let tag { throw YAMLError(mark: measured.node.mark, message: "tags such as \(tag) are not supported") }
        if let anchor { anchors[anchor] = measured }
        return measured
    }

    private mutating func count(_ added: Int, _ mark: YAMLMark) throws(YAMLError) {
        nodes += added
        guard nodes <= Self.maximumNodes else {
            throw YAMLError(mark: mark, message: "more than \(Self.maximumNodes) values, aliases expanded")
        }
    }
}
