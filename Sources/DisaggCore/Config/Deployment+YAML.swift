internal import Glibc

extension Deployment {
    /// Reads a deployment file.
    ///
    /// - Parameter path: the file; its name is part of every problem's text.
    /// - Throws: ``DeploymentError`` with all problems found, at most 20: unreadable file, malformed YAML, unknown
    ///   keys, wrong types, values out of range, contradictions.
    public init(contentsOf path: String) throws(DeploymentError) {
        let text: String
        switch Self.read(path, limit: YAMLParser.maximumBytes) {
        case .success(let bytes):
            guard let valid = String(validating: bytes, as: UTF8.self) else {
                throw DeploymentError(fileName: path, reason: "not UTF-8 text")
            }
            text = valid
        case .failure(let error): throw error
        }
        try self.init(yaml: text, fileName: path)
    }

    /// Reads a deployment from YAML text.
    ///
    /// - Parameters:
    ///   - yaml: the text; an empty one gives the defaults, a 1p1d deployment.
    ///   - fileName: what problems call the text.
    /// - Throws: ``DeploymentError`` with all problems found, at most 20.
    public init(yaml: String, fileName: String = "<yaml>") throws(DeploymentError) {
        let root: YAMLNode
        do throws(YAMLError) {
            root = try YAMLParser.parse(yaml)
        } catch {
            let problem = DeploymentError.Problem(
                line: error.mark.line, column: error.mark.column, path: "", message: error.message)
            throw DeploymentError(fileName: fileName, problems: [problem])
        }
        let read = DeploymentReader(root)
        guard read.reader.problems.isEmpty else {
            throw DeploymentError(fileName: fileName, problems: read.reader.problems)
        }
        self = read.deployment
    }

    private static func read(_ path: String, limit: Int) -> Result<[UInt8], DeploymentError> {
        func failure(_ code: Int32) -> Result<[UInt8], DeploymentError> {
            .failure(DeploymentError(fileName: path, reason: "cannot be read: \(String(cString: strerror(code)))"))
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return failure(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        // One byte over the limit is enough for the parser to refuse the text.
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                return failure(errno)
            }
            bytes += buffer[..<count]
        }
        return .success(bytes)
    }
}
