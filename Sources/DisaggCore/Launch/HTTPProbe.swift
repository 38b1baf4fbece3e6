internal import CLibCurl
internal import NIOPosix

/// One GET request of the control plane, through the system's libcurl on a thread of NIO's blocking pool.
package struct HTTPProbe: Sendable, Hashable {
    /// What came of a request.
    package enum Outcome: Sendable, Hashable {
        /// The server answered with this status.
        case status(Int)
        /// There was no answer, and why.
        case unreachable(String)
    }

    /// What to get.
    package var url: String
    /// The answer must be complete within this time.
    package var timeout: Duration

    /// Describes a request.
    package init(url: String, timeout: Duration = .seconds(2)) {
        self.url = url
        self.timeout = timeout
    }

    /// Sends the request; the body is read and dropped.
    package func run() async -> Outcome {
        let probe = self
        do {
            return try await NIOThreadPool.singleton.runIfActive { probe.perform() }
        } catch {
            return .unreachable("cancelled")
        }
    }

    /// libcurl's global state, set up once before any thread uses it.
    private static let isInitialized = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    private func perform() -> Outcome {
        guard Self.isInitialized, let handle = curl_easy_init() else { return .unreachable("libcurl did not start") }
        defer { curl_easy_cleanup(handle) }
        let (seconds, attoseconds) = timeout.components
        let milliseconds = Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
        _ = disagg_curl_set_string(handle, CURLOPT_URL, url)
        _ = disagg_curl_set_long(handle, CURLOPT_TIMEOUT_MS, max(1, milliseconds))
        // Timeouts must not use SIGALRM in a program with threads.
        _ = disagg_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        // Engines of this deployment are never behind the proxy that http_proxy names.
        _ = disagg_curl_set_string(handle, CURLOPT_NOPROXY, "*")
        _ = disagg_curl_set_write(handle) { _, size, count, _ in size * count }
        let code = curl_easy_perform(handle)
        guard code == CURLE_OK else { return .unreachable(String(cString: curl_easy_strerror(code))) }
        var status = 0
        _ = disagg_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return .status(status)
    }
}
