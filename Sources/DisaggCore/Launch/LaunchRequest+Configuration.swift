extension LaunchRequest {
    /// The deployment and the places of its files, without looking at GPUs: for commands that start nothing.
    ///
    /// The LMCache version is the one asked for, else the file's, else the one installed beside `vllm`, else the newest
    /// known.
    /// - Parameter note: called with lines for the user.
    package func configuration(
        note: (String) -> Void
    ) throws(CommandError) -> (deployment: Deployment, places: CommandPlaces) {
        var deployment = try deployment()
        let places = places
        settleLMCacheVersion(&deployment, vllm: places.vllm, note: note)
        return (deployment, places)
    }

    /// Where programs are and files go; `vllm` stays a bare name where it is not on the PATH.
    package var places: CommandPlaces {
        CommandPlaces(
            directory: directory, launcher: launcher,
            proxy: proxy ?? ExecutableSearch.sibling("disagg-proxy", of: launcher),
            vllm: ExecutableSearch.find("vllm", path: searchPath) ?? "vllm")
    }

    /// Takes the installed LMCache version where none is given.
    package func settleLMCacheVersion(_ deployment: inout Deployment, vllm: String, note: (String) -> Void) {
        guard deployment.lmcache.version == nil, deployment.handoff == .lmcache || deployment.handoff == .lmcacheLegacy,
            vllm.hasPrefix("/"), let installed = PythonEnvironment(beside: vllm).version("lmcache")
        else { return }
        deployment.lmcache.version = installed
        note("LMCache \(installed) is installed beside \(vllm): its files are written for that version")
    }
}
