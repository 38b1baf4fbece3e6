"""Checks that a benchmark run did what was asked, so that its table means something, and that two programs agree.

usage: check_bench.py profile_export_aiperf.json REQUESTS TOKENS_IN TOKENS_OUT
       check_bench.py --agree NAME profile_export_aiperf.json BENCH.json    (what `disagg bench --format json` wrote)
"""

import json
import sys

# Means of the same load may differ by this part.
TOLERANCE = 0.03


def load(path):
    with open(path) as file:
        return json.load(file)


def average(result, name):
    return (result.get(name) or {}).get("avg")


def check(path, requests, tokens_in, tokens_out):
    result = load(path)
    if average(result, "request_count") != requests:
        yield f"{average(result, 'request_count')} of {requests:.0f} requests were answered"
    if (average(result, "error_request_count") or 0) != 0:
        yield f"{average(result, 'error_request_count')} requests failed"
    if average(result, "output_sequence_length") != tokens_out:
        yield f"{average(result, 'output_sequence_length')} tokens came out, {tokens_out:.0f} were asked for"
    # The first word of a prompt has no space in front and may count as a few tokens more.
    if abs((average(result, "input_sequence_length") or 0) - tokens_in) > 8:
        yield f"{average(result, 'input_sequence_length')} tokens went in, {tokens_in:.0f} were meant to"


def agree(name, public_path, own_path):
    public, own = load(public_path), load(own_path)
    for what, theirs, ours in (
        ("TTFT, ms", average(public, "time_to_first_token"), own["ttft_ms"]["mean"]),
        ("ITL, ms", average(public, "inter_token_latency"), own["itl_ms"]["mean"]),
        ("output tokens/s", average(public, "output_token_throughput"), own["output_tokens_per_second"]),
    ):
        difference = ours / theirs - 1
        print(f"| {name} | {what} | {ours:.2f} | {theirs:.2f} | {difference * 100:+.1f} % |")
        if abs(difference) > TOLERANCE:
            yield f"{name}: {what} differs by {difference * 100:.1f} %"


if sys.argv[1] == "--agree":
    problems = list(agree(*sys.argv[2:5]))
else:
    problems = list(check(sys.argv[1], *map(float, sys.argv[2:5])))
for problem in problems:
    print("check_bench:", problem, file=sys.stderr)
sys.exit(1 if problems else 0)
