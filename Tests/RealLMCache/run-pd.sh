#!/usr/bin/env bash
# Runs the proxy between LMCache's own PD backends: a real PDBackendAsync sender sends KV to a real PDBackendAsync receiver
# over NIXL (UCX) and pushes its ProxyNotif to disagg-proxy, all on CPU memory. vLLM itself is not there: see pd_roundtrip.py.
#
# usage: Tests/RealLMCache/run-pd.sh [--channel nixl|mock_memory]
#
# Needs Linux, Python 3.10 to 3.12 and about 1.5 GB for a virtual environment under ${TMPDIR:-/tmp}, made once; several
# gigabytes where pip finds no torch for CPUs (TORCH names another requirement for it). The packages of LMCache that touch
# GPUs or cloud stores are not installed: its PD backend does not import them.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../.." && pwd)

channel=nixl
while [ $# -gt 0 ]; do
    case $1 in
        --channel)
            [ $# -gt 1 ] || { echo "run-pd.sh: --channel needs a value" >&2; exit 2; }
            shift
            channel=$1
            ;;
        -h | --help)
            sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *)
            echo "run-pd.sh: unknown option $1" >&2
            exit 2
            ;;
    esac
    shift
done

requirements=$here/requirements-pd.txt
folder=${TMPDIR:-/tmp}/disagg-real-lmcache-$(id -u)-$(cksum <"$requirements" | tr -d ' ')
if [ ! -f "$folder/complete" ]; then
    echo "installing LMCache and NIXL into $folder" >&2
    python3 -m venv "$folder"
    # Without their dependencies: they would bring gigabytes of CUDA libraries, which nothing here uses.
    while IFS= read -r package; do
        case $package in
            torch)
                "$folder/bin/pip" install -q --no-deps "${TORCH:-torch==2.13.0+cpu}" ||
                    "$folder/bin/pip" install -q torch
                ;;
            lmcache* | nixl*) "$folder/bin/pip" install -q --no-deps "$package" ;;
            *) printf '%s\n' "$package" >>"$folder/others.txt" ;;
        esac
    done <"$requirements"
    # What torch imports on a CPU.
    printf '%s\n' filelock fsspec jinja2 networkx sympy typing_extensions >>"$folder/others.txt"
    "$folder/bin/pip" install -q --upgrade-strategy only-if-needed -r "$folder/others.txt"
    touch "$folder/complete"
fi

proxy=${DISAGG_PROXY:-}
if [ -z "$proxy" ]; then
    (cd "$root" && swift build --product disagg-proxy >&2)
    proxy=$(cd "$root" && swift build --show-bin-path)/disagg-proxy
fi
exec "$folder/bin/python" "$here/pd_roundtrip.py" --proxy "$proxy" --channel "$channel"
