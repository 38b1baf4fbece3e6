/// The command of the proxy: the resolved deployment is its only argument.
package enum ProxyCommand {
    /// Builds the command and the file it reads.
    ///
    /// The engines' arguments and environment are left out of the file: the proxy has no use for them, and they are
    /// where access tokens live.
    package static func make(_ deployment: Deployment, places: CommandPlaces) -> EngineCommand {
        let path = places.path("deployment.yaml")
        var deployment = deployment
        for group in [\Deployment.prefill, \Deployment.decode] {
            deployment[keyPath: group].extraArguments = []
            deployment[keyPath: group].environment = [:]
        }
        return EngineCommand(
            name: "proxy", arguments: [places.proxy, "--config", path],
            files: [.init(path: path, contents: DeploymentWriter.yaml(deployment))],
            logFile: places.path("proxy.log"))
    }
}
