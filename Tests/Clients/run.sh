#!/usr/bin/env bash
# Runs public clients against deployments of simulated engines.
#
# usage: Tests/Clients/run.sh [--all | --bench | --agree | --dashboard] [--url URL] [PRESET ...]
#   (nothing)    the openai client against `1p1d` and `xp1d`, while pyzmq and msgspec send notifications of all kinds
#   --bench      the load of LMCache's example with aiperf against `1p1d`: 30 requests, 7500 tokens in, 200 out,
#                one request a second
#   --agree      aiperf and `disagg bench` one after the other, 200 requests at 2 a second and 400 at 4, against the same
#                deployment: their means of TTFT and ITL and their throughput must be within 3 %
#   --dashboard  every query of Docs/grafana-dashboard.json through a Prometheus server that scrapes `xpyd` under load
#   --all        the first two, the openai client against `xpyd` and every hand-off, and where `prometheus` is installed
#                the dashboard
#   --url URL    use the deployment that runs at URL instead of starting one; nothing is sent to its notification port
#   PRESET       use these presets or deployment files; they must use the presets' ports
#
# Python packages go to virtual environments under ${TMPDIR:-/tmp}; after that nothing is downloaded.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../.." && pwd)

clients=1
bench=
agree=
dashboard=
handoffs=
url=
presets=()
while [ $# -gt 0 ]; do
    case $1 in
        --all)
            bench=1
            handoffs=1
            if command -v prometheus >/dev/null 2>&1; then
                dashboard=1
            else
                echo "run.sh: there is no prometheus, so the dashboard's queries are left out" >&2
            fi
            ;;
        --bench)
            bench=1
            clients=
            ;;
        --agree)
            agree=1
            clients=
            ;;
        --dashboard)
            command -v prometheus >/dev/null 2>&1 || { echo "run.sh: prometheus is needed for --dashboard" >&2; exit 1; }
            dashboard=1
            clients=
            ;;
        --url)
            [ $# -gt 1 ] || { echo "run.sh: --url needs a value" >&2; exit 2; }
            shift
            url=${1%/}
            ;;
        -h | --help)
            sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        -*)
            echo "run.sh: unknown option $1" >&2
            exit 2
            ;;
        *) presets+=("$1") ;;
    esac
    shift
done

# --- Python ------------------------------------------------------------------------------------------------------------

command -v python3 >/dev/null 2>&1 || { echo "run.sh: python3 is needed for the public clients" >&2; exit 1; }

# Makes the environment for a requirements file once; its folder's name changes with the file.
environment() {
    local requirements=$here/$1 key folder
    key=$(cksum <"$requirements" | tr -d ' ')
    folder=${TMPDIR:-/tmp}/disagg-clients-$(id -u)-$key
    if [ ! -f "$folder/complete" ]; then
        echo "installing $(tr '\n' ' ' <"$requirements")into $folder" >&2
        rm -rf "$folder"
        python3 -m venv "$folder" >&2
        "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$requirements" >&2
        : >"$folder/complete"
    fi
    printf '%s\n' "$folder"
}

# --- a deployment ------------------------------------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/disagg-clients-run.XXXXXX")
server=
stop() {
    [ -n "$server" ] || return 0
    kill -INT -- "-$server" 2>/dev/null || true
    for _ in $(seq 1 300); do
        kill -0 -- "-$server" 2>/dev/null || break
        sleep 0.2
    done
    if kill -0 -- "-$server" 2>/dev/null; then
        kill -KILL -- "-$server" 2>/dev/null || true
        server=
        echo "run.sh: the deployment did not stop within 60 s" >&2
        return 1
    fi
    server=
    local port
    for port in 9000 9001 8100 8101 8200 8201 7300 7301 7400 7401 7500; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "run.sh: something still listens on port $port after the deployment stopped" >&2
            return 1
        fi
    done
}
senders=
clean_up() {
    local status=$?
    stop || status=1
    [ -z "$senders" ] || kill "$senders" 2>/dev/null || true
    if [ "$status" -ne 0 ] && [ -s "$work/up.log" ]; then
        echo "--- output of the deployment ---" >&2
        tail -n 40 "$work/up.log" >&2
        tail -n 20 "$work"/logs/*.log >&2 2>/dev/null || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT

fetch() { "$python" -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())' "$1"; }

start() {
    set -m
    "$root/disagg" up "$1" --engine simulated --log-dir "$work/logs" --speed "${2:-1}" >"$work/up.log" 2>&1 </dev/null &
    server=$!
    set +m
    local deadline=$((SECONDS + 900))
    until fetch "http://localhost:9000/ready" >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null || { echo "run.sh: disagg up $1 ended before it was ready" >&2; exit 1; }
        [ "$SECONDS" -lt "$deadline" ] || { echo "run.sh: disagg up $1 is not ready" >&2; exit 1; }
        sleep 0.3
    done
}

# No KV block may be held, leaked or freed twice once all clients are gone. Give throw-away decodes a moment.
check_ledgers() {
    local port
    for port in 8100 8101 8200 8201; do
        "$python" - "$port" <<'PYTHON'
import json, sys, time, urllib.error, urllib.request
url = f"http://localhost:{sys.argv[1]}/sim/kv"
for attempt in range(40):
    try:
        ledger = json.load(urllib.request.urlopen(url, timeout=5))
    except (urllib.error.URLError, ConnectionError):
        if attempt == 0:
            sys.exit(0)  # the preset has no such engine
        raise
    if not any(ledger[key] for key in ("held", "leaked", "doubleFreed", "protocolViolations", "dead")):
        sys.exit(0)
    time.sleep(1)
sys.exit(f"{url}: {ledger}")
PYTHON
    done
}

# --- the runs ----------------------------------------------------------------------------------------------------------

run_openai() {
    "$python" "$here/openai_client.py" "$1"
}

# The openai client and, where the hand-off has them, notifications for nobody: the first are sent before the proxy
# listens, most of them while it serves.
run_deployment() {
    local target=$1 speed=$2
    case $(sed -n 's/^handoff: *\([a-z-]*\).*/\1/p' <(
        if [ -f "$target" ]; then cat "$target"; else "$root/disagg" preset "$target"; fi
    )) in
        lmcache | '')
            "$python" "$here/zmq_senders.py" --port 7500 >"$work/senders.log" 2>&1 &
            senders=$!
            ;;
    esac
    start "$target" "$speed"
    run_openai http://localhost:9000
    if [ -n "$senders" ]; then
        wait "$senders" || {
            cat "$work/senders.log" >&2
            echo "run.sh: the senders failed" >&2
            exit 1
        }
        senders=
    fi
    check_ledgers
    stop
}

# The preset 1p1d with another hand-off.
variant() {
    "$root/disagg" preset 1p1d | sed -e "s/^handoff: .*/handoff: $1/" -e "s/^firstToken: .*/${2:+firstToken: $2}/" >"$3"
}

run_aiperf() { # URL ENVIRONMENT RATE REQUESTS ARTIFACTS
    local base=$1 environment=$2 artifacts=$5 model
    model=$("$environment/bin/python" -c 'import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1] + "/v1/models"))["data"][0]["id"])' "$base")
    "$environment/bin/python" "$here/tokenizer.py" "$work/hf" 2>/dev/null
    local -a command=(
        aiperf profile --model "$model" --url "$base"
        --endpoint-type completions --streaming --use-legacy-max-tokens --extra-inputs ignore_eos:true
        --synthetic-input-tokens-mean 7500 --synthetic-input-tokens-stddev 0
        --output-tokens-mean 200 --output-tokens-stddev 0
        --request-rate "$3" --request-rate-mode constant --request-count "$4" --random-seed 1
        --tokenizer local/words --use-server-token-count --no-server-metrics --ui none --artifact-dir "$artifacts"
    )
    # Nothing may be downloaded now.
    HF_HOME=$work/hf HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 PATH=$environment/bin:$PATH \
        "${command[@]}" </dev/null >"$work/aiperf.log" 2>&1 || {
        tail -n 60 "$work/aiperf.log" >&2
        echo "run.sh: aiperf failed" >&2
        return 1
    }
    "$environment/bin/python" "$here/check_bench.py" "$artifacts/profile_export_aiperf.json" "$4" 7500 200
}

run_bench() { # URL ENVIRONMENT
    run_aiperf "$1" "$2" 1 30 "$work/aiperf"
    cat "$work/aiperf"/*console.txt
    echo "benchmark: 30 of 30 requests, 7500 tokens in, 200 tokens out, against $1"
}

run_agreement() { # URL ENVIRONMENT
    local rate requests status=0
    for rate in 2:200 4:400; do
        requests=${rate#*:}
        rate=${rate%:*}
        run_aiperf "$1" "$2" "$rate" "$requests" "$work/aiperf-$rate"
        "$root/disagg" bench "$1" --rate "$rate" --burstiness inf --requests "$requests" --input-tokens 7500 \
            --output-tokens 200 --check --format json --output "$work/bench-$rate.json"
        "$2/bin/python" "$here/check_bench.py" --agree "$rate a second" \
            "$work/aiperf-$rate/profile_export_aiperf.json" "$work/bench-$rate.json" || status=1
    done
    return $status
}

# Little room, so that requests wait and some are turned away; and a short patience, so that something times out.
run_dashboard() {
    "$root/disagg" preset xpyd | sed 's/^proxy:$/&\n  notificationTimeout: 2s/' >"$work/dashboard.yaml"
    printf '%s\n' 'admission: {queue: 8, queueTimeout: 1s}' \
        'routing: {prefill: {maxInFlight: 4}, decode: {maxInFlight: 8}}' >>"$work/dashboard.yaml"
    export DISAGG_ADMIN_TOKEN=dashboard
    start "$work/dashboard.yaml" 4
    "$python" "$here/dashboard.py" "$root/Docs/grafana-dashboard.json" 127.0.0.1:9000 127.0.0.1:9001 \
        127.0.0.1:8100 127.0.0.1:8101 127.0.0.1:8200 127.0.0.1:8201
    check_ledgers
    stop
}

python=
if [ -n "$clients" ]; then
    client_environment=$(environment requirements.txt)
    python=$client_environment/bin/python
fi
if [ -n "$bench$agree" ]; then
    bench_environment=$(environment requirements-bench.txt)
    [ -n "$python" ] || python=$bench_environment/bin/python
fi

[ -n "$python" ] || python=python3

if [ -n "$url" ]; then
    [ -z "$clients" ] || run_openai "$url"
    [ -z "$bench" ] || run_bench "$url" "$bench_environment"
    [ -z "$agree" ] || run_agreement "$url" "$bench_environment"
    exit 0
fi

# Builds now, and only once, so that the wait for readiness below is short.
if [ "${DISAGG_SKIP_BUILD:-}" != 1 ]; then "$root/disagg" build; fi
export DISAGG_SKIP_BUILD=1

if [ -n "$clients" ]; then
    targets=(${presets[@]+"${presets[@]}"})
    [ ${#targets[@]} -gt 0 ] || targets=(1p1d xp1d ${handoffs:+xpyd})
    for target in "${targets[@]}"; do
        echo "== openai client against $target"
        run_deployment "$target" 1
    done
    if [ -n "$handoffs" ]; then
        # Ten times as fast as the calibrated engines: the time is not what is looked at here.
        for handoff in lmcache:prefill nixl plain lmcache-legacy none; do
            echo "== openai client against 1p1d with hand-off $handoff"
            first=
            case $handoff in *:*) first=${handoff#*:} ;; esac
            variant "${handoff%%:*}" "$first" "$work/deployment.yaml"
            run_deployment "$work/deployment.yaml" 10
        done
    fi
    echo "== notifications with pyzmq and msgspec"
    "$python" "$here/notify_client.py" "$root/disagg" proxy
fi

if [ -n "$bench" ]; then
    target=${presets[0]:-1p1d}
    echo "== the load of LMCache's example against $target"
    start "$target"
    run_bench http://127.0.0.1:9000 "$bench_environment"
    check_ledgers
    stop
fi

if [ -n "$agree" ]; then
    target=${presets[0]:-1p1d}
    echo "== aiperf beside disagg bench against $target"
    start "$target"
    run_agreement http://127.0.0.1:9000 "$bench_environment"
    check_ledgers
    stop
fi

if [ -n "$dashboard" ]; then
    echo "== the dashboard's queries through Prometheus"
    run_dashboard
fi
