/// Finds a model's shape in files.
package enum ModelConfigurationFile {
    /// Why the file that was named gives no shape.
    package struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        package var description: String
    }

    /// Largest `config.json`; those of vision models with lists for each layer have some 100 KB.
    private static let maximumBytes = 4 << 20

    /// The shape in the deployment's `modelConfig`, or in the model's own folder where the model is one; nil where
    /// there is no such file and the built-in table is asked instead.
    package static func shape(of deployment: Deployment) throws(Failure) -> ModelShape? {
        if let path = deployment.modelConfiguration { return try read(path) }
        guard let first = deployment.model.utf8.first, first == UInt8(ascii: "/") || first == UInt8(ascii: ".") else {
            return nil
        }
        var folder = deployment.model
        while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
        let path = "\(folder)/config.json"
        return ConfigFile.exists(path) ? try read(path) : nil
    }

    /// Reads a `config.json`, or the one in a folder.
    package static func read(_ path: String) throws(Failure) -> ModelShape {
        let file = path.hasSuffix(".json") || ConfigFile.exists(path) ? path : "\(path)/config.json"
        let text: String
        do throws(ConfigFile.Failure) {
            text = try ConfigFile.text(file, limit: maximumBytes)
        } catch {
            throw Failure(description: "\(file) \(error)")
        }
        guard text.utf8.count <= maximumBytes else { throw Failure(description: "\(file) is larger than 4 MiB") }
        do throws(ModelShape.ConfigurationError) {
            return try ModelShape(configJSON: text)
        } catch {
            throw Failure(description: "\(file): \(error)")
        }
    }
}
