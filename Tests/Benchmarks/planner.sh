#!/usr/bin/env bash
# Runs simulated engines behind the proxy, measures them, and holds the planner's prediction against the measurement:
# the same lengths, the same arrivals (bench and predict draw them from the same seed).
#
# The engines play at a quarter of their speed and get a quarter of the rate, so that what this machine adds to each hop
# counts a quarter; all times are shown as of full speed. Fails where a mean is off by more than 5 %.
#
# usage: Tests/Benchmarks/planner.sh [REQUESTS]
#
# Takes ten minutes; needs python3, and ports 11100, 11200, 12000 and a few more near them free.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
requests=${1:-60}
speed=0.25
offset=3000
proxy=http://127.0.0.1:$((9000 + offset))
work=$(mktemp -d)
up=
failed=0
stop() {
    [ -z "$up" ] || { kill -INT "$up" 2>/dev/null || true; wait "$up" 2>/dev/null || true; }
    rm -rf "$work"
}
trap stop EXIT
./disagg build >/dev/null
launch=.build/release/disagg-launch

# preset, engines of each role, hand-off, first token, prompt, answer, rate, burstiness
cases=(
    "1p1d 1 lmcache decode 2000 100 2 even"
    "1p1d 1 lmcache decode 2000 100 2 1"
    "1p1d 1 nixl decode 4000 50 2 even"
    "1p1d 1 nixl decode 1000 200 3 1"
    "xpyd 2 lmcache decode 2000 100 6 1"
)
printf '%-36s %22s %22s\n' "" "TTFT mean, ms" "TPOT mean, ms"
for case in "${cases[@]}"; do
    read -r preset engines handoff first input output rate burstiness <<<"$case"
    "$launch" preset "$preset" | sed -e "s/^handoff: .*/handoff: $handoff/" -e "s/^engine: .*/engine: simulated/" \
        -e '/^firstToken:/d' >"$work/deployment.yaml"
    "$launch" up "$work/deployment.yaml" --engine simulated --speed "$speed" --port-offset "$offset" \
        --log-dir "$work/logs" >"$work/up.log" 2>&1 &
    up=$!
    for _ in $(seq 100); do
        curl -fsS -o /dev/null "$proxy/ready" 2>/dev/null && break
        sleep 0.2
    done
    shape=()
    [ "$burstiness" = even ] && shape=(--burstiness inf) || shape=(--burstiness "$burstiness")
    # Two prompts first: connections and caches.
    "$launch" bench "$proxy" --requests 2 --concurrency 1 --input-tokens 64 --output-tokens 4 >/dev/null
    "$launch" bench "$proxy" --requests "$requests" --rate "$(python3 -c "print($rate * $speed)")" "${shape[@]}" \
        --seed 1 --timeout 600 --max-seconds 1200 --input-tokens "$input" --output-tokens "$output" --format json --output "$work/measured.json"
    eager=()
    [ "$handoff" = nixl ] || eager=(--eager)
    # The engine's own count of prompt tokens: a word is not always one.
    tokens=$(python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(round(d.get("prompt_tokens", 0) / max(1, d["requests"]["succeeded"])) or sys.argv[2])' "$work/measured.json" "$input")
    "$launch" predict --model meta-llama/Llama-3.1-8B --gpu H200 ${eager[@]+"${eager[@]}"} --json --isl "$tokens" \
        --osl "$output" --rate "$rate" --burstiness "$burstiness" --prefill "$engines" --decode "$engines" --handoff "$handoff" \
        --first-token "$first" --requests "$requests" --seed 1 >"$work/predicted.json"
    python3 - "$work/measured.json" "$work/predicted.json" "$case" "$speed" <<'PY' || failed=1
import json, sys
measured, predicted = (json.load(open(name)) for name in sys.argv[1:3])
cells, worst = [], 0
for name in ("ttft", "tpot"):
    is_, said = measured[f"{name}_ms"]["mean"] * float(sys.argv[4]), predicted[f"{name}Milliseconds"]["mean"]
    worst = max(worst, abs(said / is_ - 1))
    cells.append(f"{is_:8.2f} {said:8.2f} {100 * (said / is_ - 1):+5.1f}%")
print(f"{sys.argv[3]:36} {cells[0]:>22} {cells[1]:>22}")
sys.exit(worst > 0.05)
PY
    kill -INT "$up"
    wait "$up" 2>/dev/null || true
    up=
done
[ "$failed" = 0 ] || { echo "a mean is off by more than 5 %" >&2; exit 1; }
