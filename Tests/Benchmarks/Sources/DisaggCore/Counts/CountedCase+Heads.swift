internal import HTTPTypes
internal import NIOCore

/// Heads of requests and answers.
extension CountedCase {
    static var heads: [CountedCase] {
        [
            // What the official Python client sends.
            CountedCase("head.request-shared-fields") {
                let headers = clientHeaders
                return { keep(RequestHeadWriter(headers, requestID: "00001f2e3d4c5b6a79880123456789abcdef")) }
            },
            CountedCase("head.request-leg") {
                let writer = RequestHeadWriter(clientHeaders, requestID: "00001f2e3d4c5b6a79880123456789abcdef")
                let backend = CountedInput.proxy(.nixl).pool.decode[0]
                return {
                    keep(writer.head(method: .post, target: "/v1/completions", backend: backend, bodyBytes: 30_200))
                }
            },
            CountedCase("head.answer-scan") {
                let head = try CountedInput.streamHead()
                return { keep(head.withUnsafeReadableBytes { HTTPResponseHeadScanner.scan($0) }) }
            },
            CountedCase("head.answer-forwarded") {
                let bytes = try CountedInput.streamHead()
                guard case .head(let scanned) = bytes.withUnsafeReadableBytes({ HTTPResponseHeadScanner.scan($0) })
                else {
                    throw CountedInput.Failure(description: "the captured head is not read")
                }
                let head = UpstreamHead(scanned: scanned, bytes: bytes)
                return { keep(head.clientLines(requestID: "00001f2e3d4c5b6a79880123456789abcdef")) }
            },
        ]
    }

    private static var clientHeaders: HeaderBlock {
        var headers = HeaderBlock()
        for (name, value) in [
            ("Host", "127.0.0.1:9000"), ("Accept-Encoding", "gzip, deflate"), ("Connection", "keep-alive"),
            ("Accept", "application/json"), ("Content-Type", "application/json"),
            ("User-Agent", "AsyncOpenAI/Python 2.8.1"), ("X-Stainless-Lang", "python"),
            ("X-Stainless-Package-Version", "2.8.1"), ("X-Stainless-OS", "Linux"), ("X-Stainless-Arch", "x64"),
            ("X-Stainless-Runtime", "CPython"), ("X-Stainless-Runtime-Version", "3.12.3"),
            ("Authorization", "Bearer EMPTY"), ("X-Stainless-Async", "async:asyncio"),
            ("x-stainless-retry-count", "0"), ("x-stainless-read-timeout", "600"), ("Content-Length", "30200"),
        ] { headers.add(name: name, value: value) }
        return headers
    }
}
