#!/usr/bin/env python3
"""Sends streams of random token ids at a fixed rate and prints TTFT and TPOT as one JSON line.

Only the standard library: it runs on a GPU machine without a network. Exit status 1 where an answer is not complete.
"""
import argparse, http.client, json, random, statistics, sys, threading, time, urllib.parse


def stream(host, port, body, results, index):
    begun = time.monotonic()
    times, error, count = [], None, 0
    try:
        connection = http.client.HTTPConnection(host, port, timeout=300)
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            error = f"status {answer.status}: {answer.read(200)!r}"
        else:
            done = False
            for line in answer:
                if line.startswith(b"data: [DONE]"):
                    done = True
                elif line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if "error" in event:
                        error = json.dumps(event)[:200]
                    elif event.get("choices"):
                        times.append(time.monotonic())
                    if event.get("usage"):
                        count = event["usage"]["completion_tokens"]
            if not done:
                error = error or "no [DONE]"
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as failure:
        error = repr(failure)
    results[index] = (begun, times, count, error)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--rate", type=float, default=1, help="requests a second")
    parser.add_argument("--input", type=int, default=7500, help="prompt tokens")
    parser.add_argument("--output", type=int, default=200, help="tokens of an answer")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    url = urllib.parse.urlsplit(options.url)
    source = random.Random(options.seed)
    results, threads = [None] * options.requests, []
    for index in range(options.requests):
        body = json.dumps({
            "model": options.model, "prompt": [source.randrange(300, 100000) for _ in range(options.input)],
            "max_tokens": options.output, "temperature": 0, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}})
        thread = threading.Thread(target=stream, args=(url.hostname, url.port, body, results, index))
        thread.start()
        threads.append(thread)
        time.sleep(1 / options.rate)
    for thread in threads:
        thread.join()
    good = [r for r in results if r[3] is None and r[2] == options.output and r[1]]
    ttft = [(r[1][0] - r[0]) * 1e3 for r in good]
    tpot = [(r[1][-1] - r[1][0]) * 1e3 / (options.output - 1) for r in good]
    errors = [r[3] or f"{r[2]} tokens" for r in results if r not in good]
    print(json.dumps({
        "complete": len(good), "requests": options.requests,
        "ttftMilliseconds": {"mean": statistics.mean(ttft), "p50": percentile(ttft, .5), "p99": percentile(ttft, .99)} if ttft else None,
        "tpotMilliseconds": {"mean": statistics.mean(tpot), "p50": percentile(tpot, .5), "p99": percentile(tpot, .99)} if tpot else None,
        "errors": errors[:3]}))
    return 0 if len(good) == options.requests else 1


if __name__ == "__main__":
    sys.exit(main())
