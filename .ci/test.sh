#!/usr/bin/env bash
# Everything CI runs, step by step; stops at the first step that fails. Called by `./disagg test`.
#
# usage: ./disagg test [--all] [--list] [STEP ...]
#   --all    adds the slow steps
#   --list   names the steps and stops
#   STEP     runs only the named steps
set -euo pipefail

cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
logs=$root/.build/ci-logs

quick_steps=(scripts format rooms crash-paths links build test release libraries readme benchmarks)
slow_steps=(fuzz mutations fault-matrix faults embedding clients)

# --- the steps ---------------------------------------------------------------------------------------------------------

step_scripts() {
    local script
    while IFS= read -r script; do bash -n "$script"; done < <(
        printf '%s\n' disagg
        grep -rlE '^#!.*(bash|/sh)' .ci Tests Docs --include='*' --exclude-dir='.build*' 2>/dev/null
    )
}

step_format() { swift format lint --strict --parallel --recursive Package.swift Sources Tests; }

step_rooms() { .ci/check-rooms; }

step_crash-paths() { .ci/check-crash-paths; }

step_links() { .ci/check-links; }

# Debug build of everything with warnings as errors; one build serves this step and the tests.
step_build() { quietly build.log env DISAGG_STRICT=1 swift build --build-tests; }

step_test() { run_tests test.log; }

step_release() { quietly release.log ./disagg build; }

step_libraries() { .ci/check-libraries; }

step_readme() { .ci/check-readme; }

# Counts instructions and allocations, which a busy machine does not change.
step_benchmarks() { Tests/Benchmarks/run.sh; }

# The tests whose names contain Fuzz, with many more random inputs than in the quick run.
step_fuzz() {
    step_build
    DISAGG_FUZZ=long run_tests fuzz.log --filter Fuzz
}

# Rules of the hand-off machine broken on purpose: a test must fail of each.
step_mutations() { .ci/check-mutations; }

# Every hand-off under every fault in every combination; where DISAGG_FAULT_MATRIX is a path, the table is written there.
step_fault-matrix() {
    step_build
    DISAGG_FAULT_MATRIX=${DISAGG_FAULT_MATRIX:-all} run_tests fault-matrix.log --filter FaultMatrixTests
}

# Engines as processes that are killed, stopped and started again under 200 streams.
step_faults() {
    step_build
    DISAGG_FAULTS=1 run_tests faults.log --filter BackendFailureTests
}

step_embedding() { .ci/check-embedding; }

step_clients() { Tests/Clients/run.sh --all; }

# --- running them ------------------------------------------------------------------------------------------------------

# Runs a command whose output matters only when it fails; says once a minute that it goes on.
quietly() {
    local log=$logs/$1 pid started=$SECONDS shown=0
    shift
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.5
        if [ $(((SECONDS - started) / 60)) -gt "$shown" ]; then
            shown=$(((SECONDS - started) / 60))
            printf '    … %d s, %s\n' $((SECONDS - started)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-80)"
        fi
    done
    if ! wait "$pid"; then
        grep -E '(error|warning):' "$log" | sort -u | head -n 40 || true
        printf -- '--- the end of %s ---\n' "$log"
        tail -n 30 "$log"
        return 1
    fi
}

# Runs the built tests and insists that some ran: a filter or a package change that runs none must not pass.
run_tests() {
    local log=$logs/$1
    shift
    # The flags must be those of the build step, or everything is built again.
    # One at a time: side by side on two cores, tests with sockets and child processes starve each other.
    DISAGG_STRICT=1 swift test --skip-build --disable-xctest --no-parallel "$@" </dev/null 2>&1 | tee "$log"
    # What failed, once more and last: it may be thousands of lines up.
    if grep -qE '^✘' "$log"; then
        printf -- '--- failed, of %s ---\n' "$log"
        grep -E -A 6 '^✘' "$log" | grep -vE '^(◇|✔)' | tail -n 80
    fi
    if ! grep -qE 'Test run with [1-9][0-9]* tests?.* passed' "$log"; then
        echo "no line in $log says that at least one test ran and all passed"
        return 1
    fi
}

seconds() { date +%s; }

list_steps() {
    printf '%s\n' "${quick_steps[@]}"
    printf '%s (--all)\n' "${slow_steps[@]}"
}

selected=()
all=
for argument in "$@"; do
    case $argument in
        --all) all=1 ;;
        -h | --help)
            sed -n '2,7s/^# \{0,1\}//p' .ci/test.sh
            exit 0
            ;;
        --list)
            list_steps
            exit 0
            ;;
        *)
            if ! printf '%s\n' "${quick_steps[@]}" "${slow_steps[@]}" | grep -qxF -- "$argument"; then
                echo "./disagg test: no step '$argument'; the steps are:" >&2
                list_steps >&2
                exit 2
            fi
            selected+=("$argument")
            ;;
    esac
done
if [ ${#selected[@]} -eq 0 ]; then
    selected=("${quick_steps[@]}")
    if [ -n "$all" ]; then selected+=("${slow_steps[@]}"); fi
fi

mkdir -p "$logs"
began=$(seconds)
summary=
for step in "${selected[@]}"; do
    printf '==> %s\n' "$step"
    step_began=$(seconds)
    # A subshell of its own, so that `set -e` holds inside the step: in `if ! step` it would not.
    set +e
    (
        set -euo pipefail
        "step_$step"
    )
    status=$?
    set -e
    took=$(($(seconds) - step_began))
    if [ "$status" -ne 0 ]; then
        printf '\nFAILED: %s after %d s (exit status %d); nothing after it was run.\n' "$step" "$took" "$status" >&2
        printf 'Run it alone with: ./disagg test %s\n' "$step" >&2
        exit 1
    fi
    printf '    %s passed, %d s\n' "$step" "$took"
    summary="$summary$(printf '    %-12s %5d s' "$step" "$took")
"
done
printf '\nAll steps passed in %d s:\n%s' $(($(seconds) - began)) "$summary"
# The test run's own summary once more, since other steps follow it.
case " ${selected[*]} " in
    *' test '*) grep -E 'Test run with' "$logs/test.log" | tail -n 1 ;;
esac
