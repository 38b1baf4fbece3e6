/// Reads an engine's load out of what it says of itself.
///
/// Counts of several data-parallel engines behind one port are added up; of their KV caches the fullest counts.
package enum EngineLoadReader {
    private enum Field { case running, waiting, usage }

    /// Names in Prometheus pages: vLLM 0.33.0 `v1/metrics/loggers.py` (`gpu_cache_usage_perc` before 0.10), SGLang
    /// `srt/metrics/collector.py`.
    private static let names: [(name: StaticString, field: Field)] = [
        ("vllm:num_requests_running", .running), ("vllm:num_requests_waiting", .waiting),
        ("vllm:kv_cache_usage_perc", .usage), ("vllm:gpu_cache_usage_perc", .usage),
        ("sglang:num_running_reqs", .running), ("sglang:num_queue_reqs", .waiting), ("sglang:token_usage", .usage),
    ]

    /// Reads a page of Prometheus text.
    ///
    /// - Returns: nil where it has none of the names.
    package static func prometheus(_ page: UnsafeRawBufferPointer, time: UInt64) -> EngineLoad? {
        var load = EngineLoad(time: time)
        var start = 0
        while start < page.count {
            var end = start
            while end < page.count, page[end] != 0x0A { end += 1 }
            // Only lines of the engines' own families are looked at closer.
            if page[start] == UInt8(ascii: "v") || page[start] == UInt8(ascii: "s") {
                take(UnsafeRawBufferPointer(rebasing: page[start..<end]), into: &load)
            }
            start = end + 1
        }
        return load.running == nil && load.waiting == nil && load.cacheUsage == nil ? nil : load
    }

    private static func take(_ line: UnsafeRawBufferPointer, into load: inout EngineLoad) {
        for (name, field) in names {
            let length = name.utf8CodeUnitCount
            guard line.count > length, ByteBlock.isEqual(line, 0, name),
                line[length] == UInt8(ascii: "{") || line[length] == 0x20
            else { continue }
            // The value is what follows the labels; a label's value may hold anything but ends with a brace.
            let labels = line.lastIndex(of: UInt8(ascii: "}")).map { $0 + 1 } ?? length
            let text = String(decoding: line[labels...], as: UTF8.self)
            guard let value = text.split(separator: " ").first.flatMap({ Double($0) }), value.isFinite, value >= 0
            else { return }
            let count = Int(min(value, 1e9))
            switch field {
            case .running: load.running = (load.running ?? 0) + count
            case .waiting: load.waiting = (load.waiting ?? 0) + count
            case .usage: load.cacheUsage = max(load.cacheUsage ?? 0, min(1, value))
            }
            return
        }
    }

    /// Reads vLLM's `/load`: `{"server_load": 3}`.
    package static func serverLoad(_ body: [UInt8], time: UInt64) -> EngineLoad? {
        guard let view = try? JSONView(parsing: body), let count = view["server_load"]?.int, count >= 0 else {
            return nil
        }
        return EngineLoad(time: time, running: count)
    }

    /// Reads SGLang's `/get_load`: `[{"dp_rank": 0, "num_reqs": 3, "num_waiting_reqs": 1, "num_tokens": 900}]`, where
    /// `num_reqs` counts the waiting ones, too.
    package static func ranks(_ body: [UInt8], time: UInt64) -> EngineLoad? {
        guard let view = try? JSONView(parsing: body) else { return nil }
        var load: EngineLoad?
        var rank = 0
        while rank < 1024, let element = view[rank] {
            guard let requests = element["num_reqs"]?.int, let waiting = element["num_waiting_reqs"]?.int,
                (0...1_000_000).contains(requests), (0...1_000_000).contains(waiting)
            else { return nil }
            load = EngineLoad(
                time: time, running: (load?.running ?? 0) + max(0, requests - waiting),
                waiting: (load?.waiting ?? 0) + waiting)
            rank += 1
        }
        return load
    }
}
