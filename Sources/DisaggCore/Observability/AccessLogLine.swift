/// Writes a finished request as one line of the access log.
package enum AccessLogLine {
    /// Appends the line and its end.
    package static func append(_ record: RequestRecord, as format: AccessLogFormat, to output: inout [UInt8]) {
        switch format {
        case .json: appendJSON(record, to: &output)
        case .text: appendText(record, to: &output)
        }
        output.append(0x0A)
    }

    /// `{"time":…,"request_id":…,…,"queue_ms":0.012,…}`; members without a value are left out.
    private static func appendJSON(_ record: RequestRecord, to output: inout [UInt8]) {
        func text(_ name: StaticString, _ value: String?) {
            guard let value else { return }
            self.name(name, to: &output)
            JSONString.append(value, to: &output)
        }
        func number(_ name: StaticString, _ value: Int) {
            self.name(name, to: &output)
            output.append(contentsOf: String(value).utf8)
        }
        output.append(UInt8(ascii: "{"))
        text("time", UTCTime.text(milliseconds: record.endedAt))
        text("request_id", record.requestID)
        text("trace_id", record.traceID)
        text("method", record.method)
        text("path", record.path)
        number("status", record.status)
        text("reason", record.reason)
        text("handoff", record.handoff)
        name("stream", to: &output)
        output.append(contentsOf: (record.isStream ? "true" : "false").utf8)
        text("prefill", record.prefill)
        text("decode", record.decode)
        number("retries", record.retries)
        if record.clientLeft {
            name("client_left", to: &output)
            output.append(contentsOf: "true".utf8)
        }
        number("bytes_in", record.bytesIn)
        number("bytes_out", record.bytesOut)
        if record.isStream { number("events", record.events) }
        for stage in record.stages {
            name("\(stage.name)_ms", to: &output)
            output.append(contentsOf: milliseconds(stage.nanoseconds).utf8)
        }
        output.append(UInt8(ascii: "}"))
    }

    private static func name(_ name: StaticString, to output: inout [UInt8]) { self.name("\(name)", to: &output) }

    private static func name(_ name: String, to output: inout [UInt8]) {
        if output.last != UInt8(ascii: "{") { output.append(UInt8(ascii: ",")) }
        output.append(UInt8(ascii: "\""))
        output.append(contentsOf: name.utf8)
        output.append(contentsOf: "\":".utf8)
    }

    /// `2026-11-25T18:00:41.123Z 200 POST /v1/completions prefill-0>decode-1 disaggregated in=812 out=5120 … id=…`.
    private static func appendText(_ record: RequestRecord, to output: inout [UInt8]) {
        var parts = [
            UTCTime.text(milliseconds: record.endedAt), "\(record.status)", record.method, plain(record.path),
            "\(record.prefill ?? "-")>\(record.decode ?? "-")", record.reason, "in=\(record.bytesIn)",
            "out=\(record.bytesOut)",
        ]
        if record.isStream { parts.append("events=\(record.events)") }
        if record.retries > 0 { parts.append("retries=\(record.retries)") }
        if record.clientLeft { parts.append("client=left") }
        for stage in record.stages { parts.append("\(stage.name)=\(milliseconds(stage.nanoseconds))ms") }
        if let trace = record.traceID { parts.append("trace=\(trace)") }
        parts.append("id=\(plain(record.requestID))")
        output.append(contentsOf: parts.joined(separator: " ").utf8)
    }

    /// What a client chose, in a form that cannot be taken for another field or line.
    private static func plain(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 > 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }

    /// Milliseconds to the microsecond.
    static func milliseconds(_ nanoseconds: Int64) -> String {
        let microseconds = max(0, nanoseconds) / 1000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000).\(String(repeating: "0", count: 3 - fraction.utf8.count))\(fraction)"
    }
}
