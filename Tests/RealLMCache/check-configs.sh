#!/usr/bin/env bash
# Passes generated LMCache files through LMCache itself: the loader, its validation, the PD configuration of every rank
# and the buffer check, of one released version of each generation and of each change between them.
#
# usage: Tests/RealLMCache/check-configs.sh [VERSION...]
#
# Needs Python 3.10 to 3.12 and a package index. DISAGG_PYTHON names the interpreter, DISAGG_LAUNCH the disagg-launch to
# use; without it the debug build is taken. See README.md beside this file.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

launch=${DISAGG_LAUNCH:-$root/.build/debug/disagg-launch}
[ -x "$launch" ] || { echo "check-configs.sh: build disagg-launch first (swift build), or set DISAGG_LAUNCH" >&2; exit 2; }
versions=("$@")
[ $# -gt 0 ] || versions=(0.3.1 0.3.2 0.3.3 0.3.6 0.3.7 0.3.15 0.4.1 0.4.2 0.4.4 0.4.6 0.5.1 0.5.6)

python=${DISAGG_PYTHON:-}
if [ -z "$python" ]; then
    for candidate in python3.12 python3.11 python3.10 python3; do
        "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || continue
        python=$candidate
        break
    done
fi
[ -n "$python" ] || { echo "check-configs.sh: Python 3.10 to 3.12 is needed; set DISAGG_PYTHON" >&2; exit 2; }

cache=${TMPDIR:-/tmp}/disagg-lmcache-$(id -u)
mkdir -p "$cache"
if [ ! -f "$cache/venv/complete" ]; then
    rm -rf "$cache/venv"
    "$python" -m venv "$cache/venv"
    # What LMCache's configuration code imports beside PyTorch.
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --no-input \
        pyyaml msgspec pyzmq sortedcontainers psutil prometheus_client requests aiofile aiofiles aiohttp numpy py-cpuinfo \
        opentelemetry-api opentelemetry-sdk redis safetensors fastapi httpx pydantic
    : >"$cache/venv/complete"
fi
run=$cache/venv/bin/python

work=$(mktemp -d "${TMPDIR:-/tmp}/disagg-lmcache-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
status=0
for version in "${versions[@]}"; do
    site=$cache/lmcache-$version
    if [ ! -d "$site/lmcache" ]; then
        rm -rf "$site" "$work/wheel"
        "$cache/venv/bin/pip" download --quiet --disable-pip-version-check --no-input --no-deps --only-binary :all: \
            --dest "$work/wheel" "lmcache==$version"
        # Without the compiled modules: they need PyTorch's libraries, the configuration code does not need them.
        "$run" - "$work"/wheel/*.whl "$site" <<'PYTHON'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if not name.endswith(".so")])
PYTHON
        rm -rf "$work/wheel"
    fi
    mkdir -p "$work/$version"
    "$run" "$here/deployments.py" "$launch" "$version" "$work/$version"
    if ! "$run" "$here/check_configs.py" "$site" "$version" "$work/$version/jobs.json" "$work/$version/results.jsonl" \
        >"$work/$version/output" 2>&1; then
        status=1
    fi
    grep -E '^lmcache [0-9.]+: ' "$work/$version/output" || { status=1; tail -n 20 "$work/$version/output"; }
    grep '"ok": false' "$work/$version/results.jsonl" || true
done
cat "$work"/*/results.jsonl | "$run" -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
controls = [row for row in rows if row["name"] == "control"]
rows = [row for row in rows if row["name"] != "control"]
good = sum(row["ok"] for row in rows)
files = sum(row["engines"] for row in rows)
refused = sum(row["ok"] for row in controls)
print(f"{good} of {len(rows)} deployments ({files} files) accepted by LMCache; {refused} of {len(controls)} wrong ones refused")'
exit "$status"
