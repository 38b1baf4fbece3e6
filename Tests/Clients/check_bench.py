"""Checks that a benchmark run did what was asked, so that its table means something.

usage: check_bench.py profile_export_aiperf.json REQUESTS TOKENS_IN TOKENS_OUT
"""

import json
import sys

path, requests, tokens_in, tokens_out = sys.argv[1], *map(float, sys.argv[2:5])
with open(path) as file:
    result = json.load(file)


def average(name):
    return (result.get(name) or {}).get("avg")


problems = []
if average("request_count") != requests:
    problems.append(f"{average('request_count')} of {requests:.0f} requests were answered")
if (average("error_request_count") or 0) != 0:
    problems.append(f"{average('error_request_count')} requests failed")
if average("output_sequence_length") != tokens_out:
    problems.append(f"{average('output_sequence_length')} tokens came out, {tokens_out:.0f} were asked for")
# The first word of a prompt has no space in front and may count as a few tokens more.
if abs((average("input_sequence_length") or 0) - tokens_in) > 8:
    problems.append(f"{average('input_sequence_length')} tokens went in, {tokens_in:.0f} were meant to")
for problem in problems:
    print("check_bench:", problem, file=sys.stderr)
sys.exit(1 if problems else 0)
