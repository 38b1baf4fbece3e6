#!/usr/bin/env bash
# Runs every load-balancing policy under the same recorded workloads and writes the table into Docs/Policies.md.
#
# The run is a deterministic discrete-event simulation (Tests/DisaggCoreTests/Balancing): the policies and the pool are the
# real code, the engines a queue, a cache and measured step times. The same table comes out on every machine.
#
# usage: Tests/policies.sh [--check]
#        --check   fails if the table in Docs/Policies.md is not what comes out
set -euo pipefail

cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
page=Docs/Policies.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! DISAGG_POLICIES="$work/table" swift test --filter PolicyExperimentTests >"$work/log" 2>&1; then
    grep -E 'error:|recorded an issue' "$work/log" | head -n 20 >&2
    echo "policies: the experiment failed; see above" >&2
    exit 1
fi
awk -v table="$work/table" '
    /<!-- policies: end -->/ { skip = 0 }
    !skip { print }
    /<!-- policies: begin -->/ { while ((getline line < table) > 0) print line; skip = 1 }
' "$page" >"$work/page"
if [ "${1:-}" = --check ]; then
    diff -u "$page" "$work/page" || { echo "policies: $page is out of date; run Tests/policies.sh" >&2; exit 1; }
else
    cp "$work/page" "$page"
fi
