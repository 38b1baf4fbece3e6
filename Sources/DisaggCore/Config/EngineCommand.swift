/// A process to start: everything that is needed to start it by hand.
package struct EngineCommand: Sendable, Hashable {
    /// A file that must exist before the process starts.
    package struct File: Sendable, Hashable {
        /// Absolute path, or relative to the working directory.
        package var path: String
        /// The whole text.
        package var contents: String

        /// Creates a file description.
        package init(path: String, contents: String) {
            self.path = path
            self.contents = contents
        }
    }

    /// What logs and messages call it, for example `prefill-0`; unique in its deployment.
    package var name: String
    /// The program and its arguments.
    package var arguments: [String]
    /// Variables added to the launcher's own environment.
    package var environment: [String: String]
    /// Files the process reads.
    package var files: [File]
    /// Where its output goes.
    package var logFile: String

    /// Creates a command.
    package init(
        name: String, arguments: [String], environment: [String: String] = [:], files: [File] = [], logFile: String
    ) {
        self.name = name
        self.arguments = arguments
        self.environment = environment
        self.files = files
        self.logFile = logFile
    }
}

/// Where commands find programs and put files.
package struct CommandPlaces: Sendable, Hashable {
    /// Directory of logs and generated files, without a slash at the end.
    package var directory: String
    /// The `disagg-launch` executable, which is also the simulated engine.
    package var launcher: String
    /// The `disagg-proxy` executable.
    package var proxy: String
    /// The `vllm` executable.
    package var vllm: String
    /// The `lmcache` executable.
    package var lmcache = "lmcache"
    /// The Python that has SGLang.
    package var python = "python3"

    /// Names the places.
    package init(directory: String, launcher: String, proxy: String, vllm: String = "vllm") {
        self.directory = directory
        self.launcher = launcher
        self.proxy = proxy
        self.vllm = vllm
    }

    /// The path of a file in the directory.
    package func path(_ name: String) -> String { "\(directory)/\(name)" }
}
