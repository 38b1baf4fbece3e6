#!/usr/bin/env bash
# Starts a simulated prefill and a simulated decode engine and this example in front of them, asks it what a client would
# ask, and checks that no KV cache is left behind. Needs bash and curl; no GPU.
#   DISAGG_LAUNCH  a disagg-launch to use instead of building one
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d)
pids=()

finish() {
    local status=$?
    trap - EXIT INT TERM
    if [ ${#pids[@]} -gt 0 ]; then
        kill "${pids[@]}" 2>/dev/null || true
        wait "${pids[@]}" 2>/dev/null || true
    fi
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            printf -- '--- the end of %s ---\n' "${log##*/}" >&2
            tail -n 15 "$log" >&2
        done
    fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# free_port: a port on which nothing listens now; never the same twice.
next_port=$((20000 + RANDOM % 9000))
free_port() {
    while (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do next_port=$((next_port + 1)); done
    port=$next_port
    next_port=$((next_port + 1))
}
free_port && prefill=$port
free_port && decode=$port
free_port && init=$port
free_port && alloc=$port
free_port && notify=$port
free_port && listen=$port
url=http://127.0.0.1:$listen

launch=${DISAGG_LAUNCH:-$root/.build/debug/disagg-launch}
if [ ! -x "$launch" ]; then
    echo "building disagg-launch"
    swift build --package-path "$root" --product disagg-launch </dev/null
fi
echo "building the example"
swift build --package-path "$here" </dev/null
server=$(swift build --package-path "$here" --show-bin-path </dev/null)/HummingbirdEmbedding

cat >"$work/deployment.yaml" <<YAML
model: simulated
handoff: lmcache
engine: simulated
prefill:
  urls: ["127.0.0.1:$prefill"]
decode:
  urls: ["127.0.0.1:$decode"]
  initPort: $init
  allocPort: $alloc
proxy:
  notify: localhost:$notify
YAML

# start NAME COMMAND …: runs it in the background, its output in NAME.log.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    pids+=($!)
}
# wait_for NAME URL: until the URL answers 200.
wait_for() {
    local tries=0
    until curl -fsS -o /dev/null --max-time 2 "$2" 2>/dev/null; do
        kill -0 "${pids[${#pids[@]} - 1]}" 2>/dev/null || fail "$1 ended before it was ready"
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "$1 was not ready after 30 s"
        sleep 0.1
    done
    echo "$1 is ready"
}

start prefill "$launch" simulate --role prefill --handoff lmcache --model simulated --port "$prefill" \
    --notify-port "$notify" --speed 0
wait_for prefill "http://127.0.0.1:$prefill/health"
start decode "$launch" simulate --role decode --handoff lmcache --model simulated --port "$decode" \
    --init-port "$init" --alloc-port "$alloc" --speed 0
wait_for decode "http://127.0.0.1:$decode/health"
start server "$server" --config "$work/deployment.yaml" --port "$listen"
wait_for server "$url/ready"

# ask STATUS PATH [CURL ARGUMENT …]: the body is in $body.
ask() {
    local expected=$1 path=$2 status
    shift 2
    status=$(curl -sS --max-time 30 -o "$work/body" -w '%{http_code}' "$@" "$url$path") || fail "$path: curl failed"
    body=$(cat "$work/body")
    [ "$status" = "$expected" ] || fail "$path: expected status $expected, got $status: $body"
}
# has TEXT: the body must hold it.
has() { case $body in *"$1"*) ;; *) fail "expected $1 in: $body" ;; esac; }
# text: the first choice's text in $body.
text() { sed -n 's/.*"text":"\(\([^"\\]\|\\.\)*\)".*/\1/p' <<<"$body"; }

echo "the application's own route"
ask 200 /
has "also serves"

echo "models, completion, chat, stream"
ask 200 /v1/models
has '"simulated"'
request='{"model":"simulated","prompt":"Why is the sky blue?","max_tokens":24,"temperature":0,"ignore_eos":true}'
ask 200 /v1/completions -H 'content-type: application/json' -d "$request"
has '"completion_tokens":24'
through=$(text)
[ -n "$through" ] || fail "no text in: $body"
# What the decode engine answers alone is what it must answer with the prefill engine's KV.
body=$(curl -fsS --max-time 30 -H 'content-type: application/json' -d "$request" "http://127.0.0.1:$decode/v1/completions")
[ "$through" = "$(text)" ] || fail "the hand-off changed the text: $through, alone: $(text)"
chat='{"model":"simulated","messages":[{"role":"user","content":"Hello"}],"max_tokens":8,"ignore_eos":true'
ask 200 /v1/chat/completions -H 'content-type: application/json' -d "$chat}"
has '"role":"assistant"'
ask 200 /v1/chat/completions -N -H 'content-type: application/json' -d "$chat,\"stream\":true}"
has 'data: {'
has 'data: [DONE]'
[ "$(grep -c '^data: {' "$work/body")" -ge 8 ] || fail "expected 8 events or more, got: $body"

echo "errors have the OpenAI shape"
ask 400 /v1/completions -H 'content-type: application/json' -d '{"model":'
has '"error":{"message"'
ask 405 /v1/completions
has '"error":{"message"'
ask 404 /v1/no-such-path
has '"error":{"message"'

echo "a client that leaves, and no KV left behind"
long='{"model":"simulated","prompt":"Tell me a story.","max_tokens":8000,"ignore_eos":true,"stream":true}'
curl -sN --max-time 30 -H 'content-type: application/json' -d "$long" "$url/v1/completions" 2>/dev/null | head -c 500 >/dev/null || true
for port in "$prefill" "$decode"; do
    tries=0
    while :; do
        ledger=$(curl -fsS --max-time 5 "http://127.0.0.1:$port/sim/kv")
        case $ledger in *'"held":0,'*) break ;; esac
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "KV is still held after 10 s: $ledger"
        sleep 0.1
    done
    case $ledger in *'"leaked":0'*) ;; *) fail "KV leaked: $ledger" ;; esac
    case $ledger in *'"doubleFreed":0'*) ;; *) fail "KV was freed twice: $ledger" ;; esac
    echo "$ledger"
done

echo "SIGTERM ends the server"
kill -TERM "${pids[2]}"
wait "${pids[2]}" || fail "the server ended with status $?"
echo "smoke test passed"
