internal import CLibCurl
internal import NIOPosix

/// The client of a proxy's admin API, through the system's libcurl. The token goes into a header and nowhere else.
package struct AdminClient: Sendable {
    /// An answer with status 2xx.
    package struct Answer: Sendable {
        package var text: String
        package var view: JSONView
    }

    private static let patience = Duration.seconds(10)
    private static let maximumAnswerBytes = 16 << 20

    private let base: String
    private let token: AdminToken?

    /// Prepares a client.
    ///
    /// - Parameters:
    ///   - admin: the listener's address, `http://127.0.0.1:9001`.
    ///   - tokenFile: as the proxy's `adminTokenFile`; where nil, the environment is asked.
    /// - Throws: ``CommandError`` for an address or a token that cannot be read.
    package init(admin: String, tokenFile: String?) throws(CommandError) {
        guard let endpoint = ConfigText.endpoint(admin), endpoint.port > 0 else {
            throw CommandError("--admin: expected an address as http://127.0.0.1:9001, got \"\(admin)\"")
        }
        base = "http://\(endpoint)"
        var settings = AdminSettings()
        settings.tokenFile = tokenFile
        do {
            token = try AdminToken.configured(settings)
        } catch {
            throw CommandError(error.message)
        }
    }

    /// Sends a request.
    ///
    /// - Throws: ``CommandError`` with the proxy's own words where it refuses.
    package func send(_ request: AdminRequestLine) async throws(CommandError) -> Answer {
        let result: Result<(status: Int, body: [UInt8]), CommandError>
        do {
            result = try await NIOThreadPool.singleton.runIfActive { perform(request) }
        } catch {
            throw CommandError("cancelled", exitStatus: 1)
        }
        let (status, body) = try result.get()
        let text = String(decoding: body, as: UTF8.self)
        guard let view = try? JSONView(parsing: body) else {
            throw CommandError(
                "\(base) answered \(status) and no JSON; is it the admin listener of a disagg-proxy?", exitStatus: 1)
        }
        guard (200..<300).contains(status) else {
            throw CommandError(view["error"]?["message"]?.string ?? "\(base) answered \(status)", exitStatus: 1)
        }
        return Answer(text: text, view: view)
    }

    private static let isInitialized = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    private final class Sink {
        var bytes: [UInt8] = []
    }

    private func perform(_ request: AdminRequestLine) -> Result<(status: Int, body: [UInt8]), CommandError> {
        func failure(_ text: String) -> Result<(status: Int, body: [UInt8]), CommandError> {
            .failure(CommandError("\(base) cannot be asked: \(text); is the proxy running?", exitStatus: 1))
        }
        guard Self.isInitialized, let handle = curl_easy_init() else { return failure("libcurl did not start") }
        defer { curl_easy_cleanup(handle) }
        let (seconds, attoseconds) = (Self.patience + request.patience).components
        _ = disagg_curl_set_string(handle, CURLOPT_URL, base + request.target)
        _ = disagg_curl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method)
        _ = disagg_curl_set_long(
            handle, CURLOPT_TIMEOUT_MS, Int(clamping: seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
        _ = disagg_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = disagg_curl_set_string(handle, CURLOPT_NOPROXY, "*")
        var headers = curl_slist_append(nil, "Content-Type: application/json")
        // Else a body larger than 1 KiB waits a second for an interim answer.
        headers = curl_slist_append(headers, "Expect:")
        if let token { headers = curl_slist_append(headers, "Authorization: " + token.authorization) }
        defer { curl_slist_free_all(headers) }
        _ = disagg_curl_set_pointer(handle, CURLOPT_HTTPHEADER, headers)
        if let body = request.body {
            _ = disagg_curl_set_long(handle, CURLOPT_POSTFIELDSIZE, body.utf8.count)
            _ = disagg_curl_set_string(handle, CURLOPT_COPYPOSTFIELDS, body)
        } else if request.method == "POST" {
            _ = disagg_curl_set_string(handle, CURLOPT_COPYPOSTFIELDS, "")
        }
        let sink = Sink()
        let code = withExtendedLifetime(sink) {
            _ = disagg_curl_set_pointer(handle, CURLOPT_WRITEDATA, Unmanaged.passUnretained(sink).toOpaque())
            _ = disagg_curl_set_write(handle) { bytes, size, count, context in
                guard let bytes, let context else { return 0 }
                let sink = Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
                guard sink.bytes.count + size * count <= AdminClient.maximumAnswerBytes else { return 0 }
                sink.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
                return size * count
            }
            return curl_easy_perform(handle)
        }
        guard code == CURLE_OK else { return failure(String(cString: curl_easy_strerror(code))) }
        var status = 0
        _ = disagg_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        return .success((status, sink.bytes))
    }
}
