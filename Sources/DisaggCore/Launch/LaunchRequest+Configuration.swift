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
        settleVersions(&deployment, vllm: places.vllm, note: note)
        return (deployment, places)
    }

    /// Where programs are and files go; `vllm` stays a bare name where it is not on the PATH.
    package var places: CommandPlaces {
        var places = CommandPlaces(
            directory: directory, launcher: launcher,
            proxy: proxy ?? ExecutableSearch.sibling("disagg-proxy", of: launcher),
            vllm: ExecutableSearch.find("vllm", path: searchPath) ?? "vllm")
        places.lmcache = ExecutableSearch.find("lmcache", path: searchPath) ?? "lmcache"
        places.python = ExecutableSearch.find("python3", path: searchPath) ?? "python3"
        return places
    }

    /// Takes the installed versions of vLLM and LMCache where none are given.
    package func settleVersions(_ deployment: inout Deployment, vllm: String, note: (String) -> Void) {
        guard vllm.hasPrefix("/") else { return }
        let python = PythonEnvironment(beside: vllm)
        if deployment.vllmVersion == nil { deployment.vllmVersion = python.version("vllm") }
        guard deployment.lmcache.version == nil, [.lmcache, .lmcacheLegacy, .lmcacheMP].contains(deployment.handoff),
            let installed = python.version("lmcache")
        else { return }
        deployment.lmcache.version = installed
        note("LMCache \(installed) is installed beside \(vllm): its files are written for that version")
    }
}
