#!/usr/bin/env bash
# Runs 1p1d on two real GPUs in each hand-off mode and checks what the simulated engines can only imitate.
#
# For each mode: `disagg-launch up` until all is ready and the hand-off is proven; `status` and `check --online` against
# what runs; LMCache's example load (30 requests, 7500 tokens in, 200 out, one a second); two clients that leave in the
# middle of a prefill, then a request that must still be handed off; Ctrl-C, after which no process and no GPU memory may
# remain. The next mode starts at once. Prints one JSON line a step and a table at the end, beside the rows of
# Docs/EngineFacts.md; exit status 0 if every step of every mode passed.
#
# usage: Tests/RealEngines/run.sh --model NAME|PATH [--mode MODE ...] [--out DIR] [--arguments "..."] ...
#   --model      what the engines load; the same text on both sides
#   --mode       nixl, lmcache-prefill or lmcache-decode; may be repeated; all three where missing
#   --out        directory for logs and results (default: real-engines)
#   --arguments  more arguments for every engine, for example "--load-format dummy --max-model-len 32768"
#   --programs   directory of disagg-launch and disagg-proxy (default: .build/release)
#   --requests   of the load (default: 30)
#   --budget     seconds for everything (default: 1500): a mode that would not fit counts as failed and is not started,
#                and a start that takes longer is stopped, so that results are there before a machine is taken away
#   --engine     vllm, or simulated to rehearse this script where there is no GPU
#
# Needs two GPUs, nvidia-smi, curl, python3, and vllm, lmcache and nixl on the PATH.
set -uo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
model= out=real-engines programs=$root/.build/release arguments= requests=30 budget=1500 engine=vllm
modes=()
while [ $# -gt 0 ]; do
    case $1 in
        --model) model=${2-} ;;
        --mode) modes+=("${2-}") ;;
        --out) out=${2-} ;;
        --arguments) arguments=${2-} ;;
        --programs) programs=${2-} ;;
        --requests) requests=${2-} ;;
        --budget) budget=${2-} ;;
        --engine) engine=${2-} ;;
        -h | --help)
            sed -n '2,22s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *)
            echo "run.sh: unknown option $1; see --help" >&2
            exit 2
            ;;
    esac
    shift 2 || { echo "run.sh: $1 needs a value" >&2; exit 2; }
done
[ -n "$model" ] || { echo "run.sh: --model is needed; see --help" >&2; exit 2; }
[ ${#modes[@]} -gt 0 ] || modes=(nixl lmcache-prefill lmcache-decode)
for mode in "${modes[@]}"; do
    case $mode in nixl | lmcache-prefill | lmcache-decode) ;; *) echo "run.sh: unknown mode $mode" >&2; exit 2 ;; esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
launch=$programs/disagg-launch
url=http://127.0.0.1:9000
failed=0
launcher=
trap '[ -z "$launcher" ] || kill "$launcher" 2>/dev/null' EXIT

report() { # MODE STEP OK TEXT
    printf '{"mode":"%s","step":"%s","ok":%s,"at":%d,"detail":%s}\n' "$1" "$2" "$3" "$SECONDS" \
        "$(python3 -c 'import json,sys; print(json.dumps(sys.argv[1]))' "$4")" | tee -a "$out/results.jsonl"
    [ "$3" = true ] || failed=1
}

is() { if "$@"; then echo true; else echo false; fi; }

deployment() { # MODE FILE
    local argument list=
    for argument in $arguments; do list="$list, \"$argument\""; done
    {
        printf 'model: "%s"\nhandoff: %s\n' "$model" "${1%%-*}"
        case $1 in lmcache-*) printf 'firstToken: %s\n' "${1#*-}" ;; esac
        printf 'engine: %s\n' "$engine"
        printf 'prefill: {port: 8100, extraArgs: [%s]}\ndecode: {port: 8200, extraArgs: [%s]}\n' "${list#, }" "${list#, }"
        printf 'proxy: {listen: "127.0.0.1:9000"}\n'
    } >"$2"
}

# Used memory of each GPU in MiB.
gpu_memory() {
    [ "$engine" = simulated ] || nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | paste -sd, -
}

# What an `up` has left: processes with its mark in their environment, or that are named as vLLM names its own.
leftovers() {
    { grep -lsa DISAGG_LAUNCH_ID= /proc/[0-9]*/environ | cut -d/ -f3; pgrep '^(VLLM::|vllm)'; } | sort -nu | paste -sd' ' -
}

complete() { # TOKENS SEED MAX TIMEOUT -> HTTP status
    python3 - "$model" "$1" "$2" "$3" >"$out/request.json" <<'PYTHON'
import json, random, sys
source = random.Random(int(sys.argv[3]))
prompt = [source.randrange(300, 30000) for _ in range(int(sys.argv[2]))]
json.dump({"model": sys.argv[1], "prompt": prompt, "max_tokens": int(sys.argv[4]), "temperature": 0, "ignore_eos": True}, sys.stdout)
PYTHON
    curl -sS -o "$out/answer.json" -w '%{http_code}' --max-time "$4" -H 'Content-Type: application/json' \
        --data-binary @"$out/request.json" "$url/v1/completions"
}

# The sum of the lines of the proxy's metrics that begin with what the expression says.
metric() { # EXPRESSION
    curl -s --max-time 5 "$url/metrics" | grep -E "^$1" | awk '{ sum += $NF } END { printf "%d", sum }'
}

stop() { # MODE MEMORY-BEFORE
    local begun=$SECONDS code left memory
    kill -INT "$launcher" 2>/dev/null
    wait "$launcher"
    code=$?
    launcher=
    # The driver takes a moment to account for memory that is free.
    for _ in $(seq 1 40); do
        left=$(leftovers)
        memory=$(gpu_memory)
        [ -n "$left" ] || [ "$memory" != "$2" ] || break
        sleep 0.25
    done
    report "$1" ctrl-c "$([ -z "$left" ] && [ "$memory" = "$2" ] && [ $code = 0 ] && echo true || echo false)" \
        "exit $code, all gone after $((SECONDS - begun)) s; GPU MiB before: $2, after: $memory; left: ${left:-nothing}"
}

run() { # MODE
    local mode=$1 logs=$out/$1 before started=$SECONDS ready= status gone handed lost port
    local good='disagg_requests_total\{.*code="200".*reason="(disaggregated|first-token-partial)"'
    mkdir -p "$logs"
    deployment "$mode" "$logs/deployment.yaml"
    before=$(gpu_memory)
    : >"$logs/up.log"
    "$launch" up "$logs/deployment.yaml" --log-dir "$logs/logs" >"$logs/up.log" 2>&1 &
    launcher=$!
    until grep -q '^All ready after' "$logs/up.log"; do
        if ! kill -0 "$launcher" 2>/dev/null || [ $SECONDS -ge $((budget - 15)) ]; then
            report "$mode" up false "not ready after $((SECONDS - started)) s: $(tail -n 5 "$logs/up.log" | tr '\n' ' ')"
            stop "$mode" "$before"
            return
        fi
        sleep 0.5
    done
    report "$mode" up true "ready after $((SECONDS - started)) s"
    grep -q 'not proven' "$logs/up.log"
    report "$mode" proven "$(is [ $? = 1 ])" "$(grep 'not proven' "$logs/up.log")"

    "$launch" status --log-dir "$logs/logs" >"$logs/status.txt" 2>&1
    report "$mode" status "$(is [ $? = 0 ])" "$(cat "$logs/status.txt")"
    "$launch" check "$logs/deployment.yaml" --online --log-dir "$logs/logs" --format json >"$logs/check.json" 2>&1
    report "$mode" check-online "$(is [ $? = 0 ])" "$(tr -s ' \n' ' ' <"$logs/check.json")"
    # That it finds something: a name that no engine serves.
    "$launch" check "$logs/deployment.yaml" --online --log-dir "$logs/logs" --model "$model-2" >"$logs/check-other.txt" 2>&1
    report "$mode" check-online-finds "$(is grep -q 'served-model' "$logs/check-other.txt")" \
        "$(tail -n 1 "$logs/check-other.txt")"

    python3 "$here/load.py" --url "$url" --model "$model" --requests "$requests" --rate 1 --input 7500 --output 200 \
        >"$logs/load.json" 2>"$logs/load.err"
    report "$mode" load "$(is [ $? = 0 ])" "$(cat "$logs/load.json") $(head -c 300 "$logs/load.err")"

    gone=$(metric disagg_clients_gone_total)
    handed=$(metric "$good")
    for pause in 0.05 0.12; do complete 7500 "1${pause#0.}" 200 "$pause" >/dev/null 2>&1; done
    status=$(complete 7500 99 16 30)
    gone=$(($(metric disagg_clients_gone_total) - gone))
    handed=$(($(metric "$good") - handed))
    curl -s "$url/metrics" >"$logs/metrics.txt"
    report "$mode" after-leaving "$(is [ "$status,$gone,$handed" = 200,2,1 ])" \
        "status $status, $handed handed off, after $gone clients that left"
    lost="$(metric disagg_notifications_timed_out_total) $(metric disagg_kv_leases_leaked_total) $(metric disagg_retries_total)"
    report "$mode" handed-off "$(is [ "$lost" = "0 0 0" ])" \
        "notifications timed out, leases leaked, retries: $lost; $(grep -E '^disagg_kv_endings_total|^disagg_requests_total' "$logs/metrics.txt" | tr '\n' ' ')"
    for port in 8100 8200; do
        status=$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 "http://127.0.0.1:$port/health")
        report "$mode" "engine-$port" "$(is [ "$status" = 200 ])" "status $status"
    done
    stop "$mode" "$before"
}

for mode in "${modes[@]}"; do
    # A start and a load take this long at least.
    if [ $((SECONDS + requests + 60)) -gt "$budget" ]; then
        report "$mode" up false "not started: $SECONDS of $budget s are over"
        continue
    fi
    run "$mode"
done
python3 "$here/table.py" "$out/results.jsonl"
exit $failed
