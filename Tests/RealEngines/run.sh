#!/usr/bin/env bash
# Runs 1p1d on two real GPUs in each hand-off mode and checks what the simulated engines can only imitate.
#
# For each mode: `disagg-launch up` until ready; LMCache's example load (30 requests, 7500 tokens in, 200 out, one a
# second); a client that leaves in the middle of a prefill, then a request that must still be answered; Ctrl-C, after
# which no process and no GPU memory may remain. Prints one JSON line a step; exit status 0 if every step passed.
#
# usage: Tests/RealEngines/run.sh --model NAME|PATH [--mode MODE ...] [--out DIR] [--prefill-arguments "..."]
#   --model      what the engines load; the same text on both sides
#   --mode       lmcache-decode, lmcache-prefill or nixl; may be repeated; all three where missing
#   --out        directory for logs and results (default: real-engines)
#   --arguments  more arguments for every engine, for example "--load-format dummy --max-model-len 32768"
#   --programs   directory of disagg-launch and disagg-proxy (default: .build/release)
#
# Needs two GPUs, nvidia-smi, curl, python3, and vllm, lmcache and nixl on the PATH.
set -uo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
model=
out=real-engines
programs=$root/.build/release
arguments=
modes=()
while [ $# -gt 0 ]; do
    case $1 in
        --model) model=$2 ;;
        --mode) modes+=("$2") ;;
        --out) out=$2 ;;
        --arguments) arguments=$2 ;;
        --programs) programs=$2 ;;
        -h | --help)
            sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *)
            echo "run.sh: unknown option $1; see --help" >&2
            exit 2
            ;;
    esac
    shift 2
done
[ -n "$model" ] || {
    echo "run.sh: --model is needed; see --help" >&2
    exit 2
}
[ ${#modes[@]} -gt 0 ] || modes=(lmcache-decode lmcache-prefill nixl)
mkdir -p "$out"
out=$(cd "$out" && pwd)
url=http://127.0.0.1:9000
failed=0

report() { # MODE STEP OK TEXT
    printf '{"mode":"%s","step":"%s","ok":%s,"detail":%s}\n' "$1" "$2" "$3" \
        "$(python3 -c 'import json,sys; print(json.dumps(sys.argv[1]))' "$4")" | tee -a "$out/results.jsonl"
    [ "$3" = true ] || failed=1
}

deployment() { # MODE FILE
    local handoff=lmcache first=decode argument list=
    case $1 in
        lmcache-decode) ;;
        lmcache-prefill) first=prefill ;;
        nixl) handoff=nixl ;;
        *)
            echo "run.sh: unknown mode $1" >&2
            exit 2
            ;;
    esac
    for argument in $arguments; do list="$list, \"$argument\""; done
    {
        printf 'model: "%s"\nhandoff: %s\n' "$model" "$handoff"
        [ "$handoff" = nixl ] || printf 'firstToken: %s\n' "$first"
        printf 'engine: vllm\nprefill: {port: 8100, extraArgs: [%s]}\ndecode: {port: 8200, extraArgs: [%s]}\n' \
            "${list#, }" "${list#, }"
        printf 'proxy: {listen: "127.0.0.1:9000"}\n'
    } >"$2"
}

gpu_memory() { nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits | paste -sd, -; }

prompt() { python3 -c 'import random,sys; r=random.Random(int(sys.argv[2])); print([r.randrange(300,30000) for _ in range(int(sys.argv[1]))])' "$1" "$2"; }

complete() { # TOKENS SEED MAX TIMEOUT -> HTTP status
    printf '{"model":"%s","prompt":%s,"max_tokens":%s,"temperature":0,"ignore_eos":true}' "$model" "$(prompt "$1" "$2")" "$3" \
        >"$out/request.json"
    curl -sS -o "$out/answer.json" -w '%{http_code}' --max-time "$4" -H 'Content-Type: application/json' \
        --data-binary @"$out/request.json" "$url/v1/completions"
}

for mode in "${modes[@]}"; do
    logs=$out/$mode
    mkdir -p "$logs"
    deployment "$mode" "$logs/deployment.yaml"
    before=$(gpu_memory)
    started=$SECONDS
    "$programs/disagg-launch" up "$logs/deployment.yaml" --log-dir "$logs/logs" >"$logs/up.log" 2>&1 &
    launcher=$!
    ready=
    while kill -0 "$launcher" 2>/dev/null && [ $((SECONDS - started)) -lt 400 ]; do
        if [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 2 "$url/ready")" = 200 ] &&
            grep -qi 'curl' "$logs/up.log"; then
            ready=1
            break
        fi
        sleep 1
    done
    if [ -z "$ready" ]; then
        report "$mode" up false "not ready after $((SECONDS - started)) s: $(tail -n 5 "$logs/up.log" | tr '\n' ' ')"
        kill "$launcher" 2>/dev/null
        wait "$launcher"
        continue
    fi
    report "$mode" up true "ready after $((SECONDS - started)) s"

    status=$(complete 512 1 8 60)
    report "$mode" first-request "$([ "$status" = 200 ] && echo true || echo false)" "status $status"

    python3 "$here/load.py" --url "$url" --model "$model" --requests 30 --rate 1 --input 7500 \
        --output 200 >"$logs/load.json" 2>"$logs/load.err"
    report "$mode" load "$([ $? = 0 ] && echo true || echo false)" "$(cat "$logs/load.json") $(head -c 300 "$logs/load.err")"

    for pause in 0.05 0.12; do complete 7500 "${pause#0.}" 200 "$pause" >/dev/null 2>&1; done
    sleep 2
    status=$(complete 7500 99 16 60)
    report "$mode" after-leaving "$([ "$status" = 200 ] && echo true || echo false)" "status $status"
    curl -s "$url/metrics" >"$logs/metrics.txt"
    report "$mode" releases true "$(grep -E '^disagg_(kv_)?releases|^disagg_notifications|^disagg_clients_gone' "$logs/metrics.txt" | tr '\n' ' ')"
    alive=true
    for port in 8100 8200; do
        [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 "http://127.0.0.1:$port/health")" = 200 ] || alive=false
    done
    report "$mode" engines-alive "$alive" ""

    stopped=$SECONDS
    kill -INT "$launcher"
    wait "$launcher"
    code=$?
    sleep 3
    left=$(pgrep -af 'vllm|VLLM|EngineCore' | grep -v run.sh | head -n 3)
    after=$(gpu_memory)
    clean=false
    if [ -z "$left" ] && [ "$after" = "$before" ]; then clean=true; fi
    report "$mode" ctrl-c "$clean" "exit $code after $((SECONDS - stopped)) s; GPU MiB $before before, $after after; left: ${left:-nothing}"
done
exit $failed
