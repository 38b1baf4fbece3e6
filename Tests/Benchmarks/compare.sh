#!/usr/bin/env bash
# Measures disagg-proxy beside other proxies: what a token and a request cost in CPU time, what is added to the time to
# the first token, how many tokens pass. Prints Markdown tables.
#
# usage: Tests/Benchmarks/compare.sh [--rounds N] [--scenarios LIST] [--candidates LIST] [--port PORT] [--results DIR]
#   --rounds N          measures everything N times, each time in reverse order (default 3); tables show the medians
#   --scenarios LIST    of paced,flat,short,latency (default all); comma-separated
#   --candidates LIST   of engine,haproxy,disagg-none,disagg-nixl,sglang-router,vllm-router (default all)
#   --port PORT         uses PORT to PORT+6 of 127.0.0.1 (default 18700)
#   --results DIR       keeps every run's JSON report there
#
# scenarios:
#   paced     200 streams, a token each 20 ms: what a token costs where nothing piles up
#   flat      64 streams as fast as they go: tokens a second. "engine" is the bound that the simulated engine sets
#   short     16 connections, answers of one token in one piece: what a request costs
#   latency   one stream at a time, 8 tokens: what is added to the time to the first token
#
# candidates: `engine` is the decode engine without anything in front. HAProxy and `disagg-none` relay to it; the others
# call the prefill engine first, or both. HAProxy is taken from the PATH, the routers from these variables:
#   SGLANG_ROUTER=VENV/bin/sglang-router    after VENV/bin/pip install sglang-router
#   VLLM_ROUTER=VENV/bin/vllm-router        after VENV/bin/pip install vllm-router
# What is not there is left out, and the output says so. Before each measurement 50 requests check that no token is lost
# or swapped. Engines are simulated (one prefill, one decode); all is on this machine and needs no root.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf 'compare: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}
wrong() {
    say "error: $*; see Tests/Benchmarks/compare.sh --help"
    exit 2
}

rounds=3
scenarios=paced,flat,short,latency
candidates=engine,haproxy,disagg-none,disagg-nixl,sglang-router,vllm-router
port=18700
results=
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,27s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --rounds | --scenarios | --candidates | --port | --results)
            [ $# -gt 1 ] || wrong "$1 needs a value"
            case $1 in
                --rounds) rounds=$2 ;;
                --scenarios) scenarios=$2 ;;
                --candidates) candidates=$2 ;;
                --port) port=$2 ;;
                --results) results=$2 ;;
            esac
            shift
            ;;
        *) wrong "unknown argument $1" ;;
    esac
    shift
done
[[ $rounds =~ ^[1-9][0-9]?$ ]] || wrong "--rounds: expected 1...99, got $rounds"
[[ $port =~ ^[1-9][0-9]{0,4}$ ]] && [ "$port" -le 65529 ] || wrong "--port: expected 1...65529, got $port"
IFS=, read -r -a scenario_list <<<"$scenarios"
IFS=, read -r -a candidate_list <<<"$candidates"
for name in "${scenario_list[@]}"; do
    case $name in paced | flat | short | latency) ;; *) wrong "--scenarios: there is no scenario \"$name\"" ;; esac
done
for name in "${candidate_list[@]}"; do
    case $name in
        engine | haproxy | disagg-none | disagg-nixl | sglang-router | vllm-router) ;;
        *) wrong "--candidates: there is no candidate \"$name\"" ;;
    esac
done

prefill=$((port + 1)) decode=$((port + 2))
prefill_side=$((port + 3)) decode_side=$((port + 4)) bootstrap=$((port + 5)) metrics=$((port + 6))

# --- what is there -----------------------------------------------------------------------------------------------------

skipped=()
skip() {
    skipped+=("$1: $2")
    say "leaving out $1: $2"
}

haproxy=$(command -v haproxy || true)
# Debian installs it where only root looks.
[ -n "$haproxy" ] || for file in /usr/sbin/haproxy /usr/local/sbin/haproxy; do [ ! -x "$file" ] || haproxy=$file; done

# The path of a router, nothing where it is not there; $1 names it, $2 its variable, $3 the variable's value.
router() {
    if [ -z "$3" ]; then
        skip "$1" "$2 is not set; install it with pip in a virtual environment and set $2 to its executable"
        return 1
    fi
    [ -x "$3" ] || wrong "$2: $3 is no executable file"
}

present=()
for name in "${candidate_list[@]}"; do
    case $name in
        haproxy)
            if [ -n "$haproxy" ]; then
                present+=("$name")
            else
                skip haproxy "not installed; on Debian and Ubuntu: apt-get install haproxy. No ratios without it"
            fi
            ;;
        sglang-router) if router "$name" SGLANG_ROUTER "${SGLANG_ROUTER:-}"; then present+=("$name"); fi ;;
        vllm-router) if router "$name" VLLM_ROUTER "${VLLM_ROUTER:-}"; then present+=("$name"); fi ;;
        *) present+=("$name") ;;
    esac
done
[ ${#present[@]} -gt 0 ] || die "none of the candidates is there"

# Builds now, and only once.
if [ "${DISAGG_SKIP_BUILD:-}" != 1 ]; then "$root/disagg" build; fi
launch=$root/.build/release/disagg-launch
proxy=$root/.build/release/disagg-proxy
[ -x "$launch" ] && [ -x "$proxy" ] || die "there are no release binaries; run ./disagg build"

# The candidate has one CPU for itself; engines and load generator share the others.
proxy_pin=() load_pin=()
pinning="not pinned: taskset is missing or there is one CPU, so all share what there is"
if command -v taskset >/dev/null 2>&1; then
    cpus=()
    IFS=, read -r -a ranges <<<"$(taskset -cp $$ | sed 's/.*: //')"
    for range in "${ranges[@]}"; do
        for ((cpu = ${range%-*}; cpu <= ${range#*-}; cpu++)); do cpus+=("$cpu"); done
    done
    if [ ${#cpus[@]} -gt 1 ]; then
        others=$(IFS=,; echo "${cpus[*]:1}")
        proxy_pin=(taskset -c "${cpus[0]}")
        load_pin=(taskset -c "$others")
        pinning="candidate on CPU ${cpus[0]}, engines and load generator on $others"
    fi
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/disagg-compare.XXXXXX")
if [ -n "$results" ]; then mkdir -p "$results"; else results=$work/results && mkdir "$results"; fi

# --- processes ---------------------------------------------------------------------------------------------------------

engines=()
under_test=
stop() {
    local pid
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 1 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
stop_proxy() {
    if [ -n "$under_test" ]; then stop "$under_test"; fi
    under_test=
}
stop_engines() {
    stop ${engines[@]+"${engines[@]}"}
    engines=()
}
clean_up() {
    local status=$?
    stop_proxy
    stop_engines
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            if [ -s "$log" ]; then printf -- '--- the end of %s ---\n' "${log##*/}" >&2 && tail -n 8 "$log" >&2; fi
        done
    fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

for taken in $(seq "$port" "$metrics"); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$taken") 2>/dev/null; then
        die "something listens on port $taken already; choose others with --port"
    fi
done

model=meta-llama/Llama-3.1-8B-Instruct
bench() { "${load_pin[@]+"${load_pin[@]}"}" "$launch" bench "$@" --model "$model" --input-tokens 64 --prompt-form words --max-seconds 60; }

# Waits until a generation is answered; $1 is the port, $2 the process that should answer, $3 its name.
await() {
    local deadline=$((SECONDS + 40))
    until bench "http://127.0.0.1:$1" --requests 1 --concurrency 1 --output-tokens 2 --timeout 5 >/dev/null 2>&1; do
        kill -0 "$2" 2>/dev/null || die "$3 ended before it answered"
        [ "$SECONDS" -lt "$deadline" ] || die "$3 did not answer within 40 s"
        sleep 0.2
    done
    kill -0 "$2" 2>/dev/null || die "$3 ended, and something else answers on its port $1"
}

# $@: how fast the decode engine is.
start_engines() {
    local common=(--handoff nixl --number-tokens --model "$model")
    "${load_pin[@]+"${load_pin[@]}"}" "$launch" simulate --role prefill --port "$prefill" --side-channel-port \
        "$prefill_side" --speed 0 "${common[@]}" >"$work/prefill.log" 2>&1 </dev/null &
    engines+=($!)
    "${load_pin[@]+"${load_pin[@]}"}" "$launch" simulate --role decode --port "$decode" --side-channel-port \
        "$decode_side" "$@" "${common[@]}" >"$work/decode.log" 2>&1 </dev/null &
    engines+=($!)
    await "$prefill" "${engines[0]}" "the prefill engine"
    await "$decode" "${engines[1]}" "the decode engine"
}

write_haproxy_configuration() {
    cat >"$work/haproxy.cfg" <<CONFIGURATION
global
    maxconn 2000
    nbthread 1
defaults
    mode http
    option http-no-delay
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 600s
    timeout server 600s
frontend bench
    bind 127.0.0.1:$port
    default_backend decode
backend decode
    server decode 127.0.0.1:$decode maxconn 2000
CONFIGURATION
}

start_proxy() {
    local P=http://127.0.0.1:$prefill D=http://127.0.0.1:$decode
    local -a command
    case $1 in
        haproxy)
            write_haproxy_configuration
            command=("$haproxy" -db -f "$work/haproxy.cfg")
            ;;
        disagg-none) command=("$proxy" --handoff none --decode "$D" --host 127.0.0.1 --port "$port" --threads 1) ;;
        disagg-nixl)
            command=("$proxy" --handoff nixl --prefill "$P" --decode "$D" --host 127.0.0.1 --port "$port" --threads 1)
            ;;
        sglang-router)
            command=(
                "$SGLANG_ROUTER" launch --pd-disaggregation --prefill "$P" "$bootstrap" --decode "$D" --host 127.0.0.1
                --port "$port" --policy round_robin --prometheus-port "$metrics" --log-level error
            )
            ;;
        vllm-router)
            command=(
                "$VLLM_ROUTER" --vllm-pd-disaggregation --prefill "$P" --decode "$D" --host 127.0.0.1 --port "$port"
                --policy round_robin --prometheus-port "$metrics" --log-level error
            )
            ;;
    esac
    # A router that looks for the model's tokenizer on the internet finds nothing, and does without.
    HF_HUB_OFFLINE=1 HF_ENDPOINT=http://127.0.0.1:9 "${proxy_pin[@]+"${proxy_pin[@]}"}" "${command[@]}" \
        >"$work/$1.log" 2>&1 </dev/null &
    under_test=$!
    await "$port" "$under_test" "$1"
}

# --- the runs ----------------------------------------------------------------------------------------------------------

# How fast the decode engine is, and the load.
engine_options() { if [ "$1" = paced ]; then echo --step-ms 20; else echo --speed 0; fi; }
load_options() {
    case $1 in
        paced) echo --concurrency 200 --requests 400 --output-tokens 200 ;;
        flat) echo --concurrency 64 --duration 4 --output-tokens 200 ;;
        short) echo --concurrency 16 --duration 3 --output-tokens 1 --no-stream ;;
        latency) echo --concurrency 1 --duration 2 --output-tokens 8 ;;
    esac
}

measure() {
    local scenario=$1 name=$2 round=$3 target=$port file=$results/$1.$2.$3.json status=0
    local -a load process=()
    read -r -a load <<<"$(load_options "$scenario")"
    if [ "$name" = engine ]; then
        target=$decode
        process=(--pid "${engines[1]}")
    else
        start_proxy "$name"
        process=(--pid "$under_test")
    fi
    # Warms up, and finds tokens that are lost or in the wrong order.
    if ! bench "http://127.0.0.1:$target" --concurrency 10 --requests 50 --output-tokens 20 --check-order \
        >"$work/check.log" 2>&1; then
        die "$name loses or swaps tokens, or fails: $(grep -m 1 '^error' "$work/check.log" || true)"
    fi
    bench "http://127.0.0.1:$target" "${load[@]}" "${process[@]}" --format json --output "$file" \
        >"$work/bench.log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || die "the measurement of $name in $scenario failed with status $status"
    if [ "$name" != engine ]; then stop_proxy; fi
    say "round $round, $scenario: $name $(value "$file" requests_per_second) requests/s," \
        "$(value "$file" failed) failed"
}

# A number of a report; $2 is a member's name, or OBJECT.NAME.
value() {
    local object=${2%.*} member=${2##*.}
    if [ "$object" = "$2" ]; then
        sed -nE "s/.*\"$member\": (-?[0-9.]+).*/\1/p" "$1"
    else
        sed -nE "s/.*\"$object\": \{[^}]*\"$member\": (-?[0-9.]+).*/\1/p" "$1"
    fi
}

for ((round = 1; round <= rounds; round++)); do
    for scenario in "${scenario_list[@]}"; do
        # shellcheck disable=SC2046 # options without spaces
        start_engines $(engine_options "$scenario")
        for ((index = 0; index < ${#present[@]}; index++)); do
            # There and back: what drifts on this machine is shared out.
            if ((round % 2)); then name=${present[index]}; else name=${present[${#present[@]} - 1 - index]}; fi
            measure "$scenario" "$name" "$round"
        done
        stop_engines
    done
done

# --- the tables --------------------------------------------------------------------------------------------------------

# "median [least...most]" of numbers, one a line; $1 is the digits behind the point.
spread() {
    sort -g | awk -v digits="$1" '
        NF { values[++n] = $1 }
        END {
            if (!n) { print "-"; exit }
            median = n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
            if (n == 1) printf "%.*f\n", digits, median
            else printf "%.*f [%.*f…%.*f]\n", digits, median, digits, values[1], digits, values[n]
        }'
}

# The values of a candidate in all rounds.
values() { for ((r = 1; r <= rounds; r++)); do value "$results/$1.$2.$r.json" "$3"; done; }

# Its value in each round, divided by (or less) another candidate's in the same round.
against() {
    local other=$4 operation=$5
    [ -f "$results/$1.$other.1.json" ] || return 0
    paste <(values "$1" "$2" "$3") <(values "$1" "$other" "$3") | awk -v operation="$operation" '
        NF == 2 { if (operation == "ratio") { if ($2 > 0) print $1 / $2 } else print $1 - $2 }'
}

table() {
    local scenario=$1 unit=token rate=output_tokens_per_second rate_name="tokens/s" time=ttft_ms.p50 time_name=TTFT name
    if [ "$scenario" = short ]; then
        unit=request rate=requests_per_second rate_name="requests/s" time=e2e_ms.p50 time_name=E2E
    fi
    printf '\n### %s: bench %s\n\n' "$scenario" "$(load_options "$scenario")"
    if [ "$scenario" = flat ]; then
        printf 'CPU time does not compare here: who falls behind finds several tokens in one read and looks cheap.\n\n'
    fi
    printf '| candidate | CPU µs a %s | ratio to HAProxy | added %s p50, ms | %s | failed |\n' \
        "$unit" "$time_name" "$rate_name"
    printf '|---|---|---|---|---|---|\n'
    for name in "${present[@]}"; do
        local cpu ratio
        cpu=$(values "$scenario" "$name" "process.cpu_us_per_$unit" | spread 1)
        ratio=$(against "$scenario" "$name" "process.cpu_us_per_$unit" haproxy ratio | spread 2)
        # The engine's own CPU time is no cost of a proxy.
        # Nor does it compare where a candidate that falls behind finds several tokens in one read.
        if [ "$name" = engine ] || [ "$scenario" = flat ]; then cpu="($cpu)" ratio=-; fi
        printf '| %s | %s | %s | %s | %s | %s |\n' "$name" "$cpu" "$ratio" \
            "$(against "$scenario" "$name" "$time" engine difference | spread 2)" \
            "$(values "$scenario" "$name" "$rate" | spread 0)" \
            "$(values "$scenario" "$name" requests.failed | awk '{ sum += $1 } END { print sum + 0 }')"
    done
}

cpu_model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
printf '%s rounds on %s CPUs (%s), Linux %s; %s.\n' "$rounds" "$(nproc)" "${cpu_model:-unknown}" "$(uname -r)" "$pinning"
printf 'disagg %s' "$("$launch" --version)"
for name in "${present[@]}"; do
    case $name in
        haproxy) printf ', %s' "$("$haproxy" -v | sed -nE '1s/^HA-?Proxy version ([^ ]+).*/HAProxy \1/p')" ;;
        *-router)
            if [ "$name" = vllm-router ]; then file=$VLLM_ROUTER; else file=$SGLANG_ROUTER; fi
            printf ', %s %s' "$name" "$("$(dirname "$file")/pip" show "$name" 2>/dev/null | sed -n 's/^Version: //p')"
            ;;
    esac
done
printf '. Median [least…most] of the rounds; ratios and differences are made within a round.\n'
for note in ${skipped[@]+"${skipped[@]}"}; do printf 'Left out: %s.\n' "$note"; done
for scenario in "${scenario_list[@]}"; do table "$scenario"; done
