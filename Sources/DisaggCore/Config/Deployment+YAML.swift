extension Deployment {
    /// Reads a deployment file.
    ///
    /// - Parameter path: the file; its name is part of every problem's text.
    /// - Throws: ``DeploymentError`` with all problems found, at most 20: unreadable file, malformed YAML, unknown
    ///   keys, wrong types, values out of range, contradictions.
    public init(contentsOf path: String) throws(DeploymentError) {
        let text: String
        do throws(ConfigFile.Failure) {
            text = try ConfigFile.text(path, limit: YAMLParser.maximumBytes)
        } catch {
            throw DeploymentError(fileName: path, reason: error.description)
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
}
