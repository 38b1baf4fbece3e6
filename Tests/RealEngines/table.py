#!/usr/bin/env python3
"""Prints the results of run.sh as a table for Docs/Benchmarks.md, beside what Docs/EngineFacts.md has of the same load.

usage: table.py results.jsonl
"""
import json, sys

# Rows 2, 1 and 15 of Docs/EngineFacts.md: mean TTFT in ms of two H200s, driven by hand.
KNOWN = {"nixl": 452, "lmcache-prefill": 210, "lmcache-decode": 267}

steps = {}
for line in open(sys.argv[1]):
    row = json.loads(line)
    steps.setdefault(row["mode"], {})[row["step"]] = row
print("| mode | up after | complete | TTFT mean, ms | p50 | p99 | TPOT p50, ms | by hand, TTFT | steps passed |")
print("|---|---|---|---|---|---|---|---|---|")
for mode, rows in steps.items():
    up = rows["up"]["detail"].removeprefix("ready after ") if rows["up"]["ok"] else "failed"
    load = json.JSONDecoder().raw_decode(rows["load"]["detail"].lstrip())[0] if rows.get("load", {}).get("detail", "").strip() else {}
    first, each = load.get("ttftMilliseconds") or {}, load.get("tpotMilliseconds") or {}
    number = lambda value, digits: "-" if value is None else f"{value:.{digits}f}"
    bad = [name for name, row in rows.items() if not row["ok"]]
    print(f"| {mode} | {up} | {load.get('complete', 0)}/{load.get('requests', 0)} | {number(first.get('mean'), 0)} "
          f"| {number(first.get('p50'), 0)} | {number(first.get('p99'), 0)} | {number(each.get('p50'), 1)} | {KNOWN[mode]} "
          f"| {len(rows) - len(bad)}/{len(rows)}{': not ' + ', '.join(bad) if bad else ''} |")
