internal import CLibCurl
internal import NIOPosix

/// One request of the control plane, through the system's libcurl on a thread of NIO's blocking pool.
package struct HTTPProbe: Sendable, Hashable {
    /// What came of a request.
    package enum Outcome: Sendable, Hashable {
        /// The server answered with this status.
        case status(Int)
        /// There was no answer, and why.
        case unreachable(String)
    }

    /// A whole answer.
    package struct Answer: Sendable, Hashable {
        /// Status, or why there is none.
        package var outcome: Outcome
        /// The body, as far as it was kept.
        package var body: [UInt8]
    }

    /// What to ask.
    package var url: String
    /// The answer must be complete within this time.
    package var timeout: Duration
    /// JSON to send with POST; nil sends a GET.
    package var json: String?

    /// Bytes of an answer's body that are kept.
    private static let maximumBodyBytes = 4 << 20

    /// Describes a request.
    package init(url: String, timeout: Duration = .seconds(2), json: String? = nil) {
        self.url = url
        self.timeout = timeout
        self.json = json
    }

    /// Sends the request; the body is read and dropped.
    package func run() async -> Outcome { await fetch().outcome }

    /// Sends the request and keeps the body.
    package func fetch() async -> Answer {
        let probe = self
        do {
            return try await NIOThreadPool.singleton.runIfActive { probe.perform() }
        } catch {
            return Answer(outcome: .unreachable("cancelled"), body: [])
        }
    }

    /// libcurl's global state, set up once before any thread uses it.
    private static let isInitialized = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    private func perform() -> Answer {
        func failed(_ reason: String) -> Answer { Answer(outcome: .unreachable(reason), body: []) }
        guard Self.isInitialized, let handle = curl_easy_init() else { return failed("libcurl did not start") }
        defer { curl_easy_cleanup(handle) }
        let (seconds, attoseconds) = timeout.components
        let milliseconds = Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
        _ = disagg_curl_set_string(handle, CURLOPT_URL, url)
        _ = disagg_curl_set_long(handle, CURLOPT_TIMEOUT_MS, max(1, milliseconds))
        // Timeouts must not use SIGALRM in a program with threads.
        _ = disagg_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        // Engines of this deployment are never behind the proxy that http_proxy names.
        _ = disagg_curl_set_string(handle, CURLOPT_NOPROXY, "*")
        var fields: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(fields) }
        if let json {
            fields = curl_slist_append(nil, "content-type: application/json")
            _ = disagg_curl_set_pointer(handle, CURLOPT_HTTPHEADER, fields)
            // libcurl copies it.
            _ = disagg_curl_set_string(handle, CURLOPT_COPYPOSTFIELDS, json)
        }
        var body: [UInt8] = []
        let code = withUnsafeMutablePointer(to: &body) { pointer in
            _ = disagg_curl_set_pointer(handle, CURLOPT_WRITEDATA, pointer)
            _ = disagg_curl_set_write(handle) { bytes, size, count, target in
                if let bytes, let body = target?.assumingMemoryBound(to: [UInt8].self),
                    body.pointee.count < HTTPProbe.maximumBodyBytes
                {
                    body.pointee.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
                }
                return size * count
            }
            return curl_easy_perform(handle)
        }
        guard code == CURLE_OK else { return failed(String(cString: curl_easy_strerror(code))) }
        var status = 0
        _ = disagg_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return Answer(outcome: .status(status), body: body)
    }
}
