#!/usr/bin/env bash
# Counts the instructions and heap allocations of one operation of every hot piece, and compares them with
# Tests/Benchmarks/thresholds.txt. No time is measured: a busy machine changes nothing.
#
# usage: Tests/Benchmarks/run.sh [--update] [CASE ...]
#        Tests/Benchmarks/run.sh --profile CASE
#        Tests/Benchmarks/run.sh --memory
#   --update    writes what was counted into the file of thresholds instead of comparing
#   --profile   shows which functions a case's instructions belong to
#   --memory    shows how much memory each bounded table takes after 100,000, 500,000 and a million distinct prompts
#   CASE        counts only these; 'splice.*' stands for all that begin so
#
# Instructions are those of callgrind: a run of N operations is subtracted from one of 2N, so that the start costs nothing.
set -euo pipefail

cd -P "$(dirname "${BASH_SOURCE[0]}")/../.."
package=Tests/Benchmarks
thresholds=$package/thresholds.txt
build=.build/benchmarks
# Those of ./disagg: what is counted is what is released.
release_flags=(-c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked)
# In percent of the threshold. Allocations have no allowance.
may_grow=3
may_shrink=10

say() { printf 'counts: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

update=
profile=
memory=
patterns=()
for argument in "$@"; do
    case $argument in
        --update) update=1 ;;
        --profile) profile=1 ;;
        --memory) memory=1 ;;
        -h | --help)
            sed -n '2,13s/^# \{0,1\}//p' "$package/run.sh"
            exit 0
            ;;
        -*) die "unknown option $argument; see $package/run.sh --help" ;;
        *) patterns+=("$argument") ;;
    esac
done

# --- what is needed ----------------------------------------------------------------------------------------------------

need_valgrind() {
    if command -v valgrind >/dev/null 2>&1; then return 0; fi
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 ||
        die "valgrind counts the instructions and is not installed; on Debian and Ubuntu: sudo apt-get install valgrind"
    say "installing valgrind with apt-get"
    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    # The package lists of a fresh machine are often empty or old: on failure refresh them once and try again.
    if ! "${apt[@]}" install -y --no-install-recommends valgrind </dev/null >/dev/null 2>&1; then
        "${apt[@]}" update </dev/null >&2 || die "apt-get update failed; its output is above"
        "${apt[@]}" install -y --no-install-recommends valgrind </dev/null >&2 ||
            die "apt-get could not install valgrind; its output is above"
    fi
}

need_valgrind
command -v strip >/dev/null 2>&1 || die "strip is not installed; it is part of binutils"

# --- build -------------------------------------------------------------------------------------------------------------

mkdir -p "$build"
started=$SECONDS
[ -d "$build/release" ] || say "first build; this takes several minutes, later ones are short"
if ! swift build --package-path "$package" --scratch-path "$build" "${release_flags[@]}" --product counts \
    </dev/null >"$build/build.log" 2>&1; then
    grep -E 'error:' "$build/build.log" | sort -u | head -n 20 >&2 || true
    die "swift build failed; the whole log is $build/build.log"
fi
work=$build/counting
rm -rf "$work"
mkdir -p "$work"
# valgrind 3.19 stops at the debug information of Swift 6.
strip --strip-debug -o "$work/counts" "$build/release/counts"
say "built in $((SECONDS - started)) s"

if [ -n "$memory" ]; then
    printf '%-12s %10s %10s %10s %10s\n' 'MiB' empty 100,000 500,000 1,000,000
    for table in prefixes kv-events turns queue; do
        "$work/counts" --memory "$table" |
            awk -F '\t' '{ printf "%-12s", $1; for (i = 2; i <= NF; i++) printf " %10.1f", $i / 1024; print "" }'
    done
    exit 0
fi

# --- count -------------------------------------------------------------------------------------------------------------

started=$SECONDS
# Dictionaries must take the same way in every run.
export SWIFT_DETERMINISTIC_HASHING=1
"$work/counts" --list >"$work/all"
if [ ${#patterns[@]} -eq 0 ]; then
    cp "$work/all" "$work/cases"
else
    for pattern in "${patterns[@]}"; do
        found=
        while IFS=$'\t' read -r name operations; do
            # shellcheck disable=SC2254 # A pattern is meant.
            case $name in $pattern)
                printf '%s\t%s\n' "$name" "$operations"
                found=1
                ;;
            esac
        done <"$work/all" >>"$work/cases"
        [ -n "$found" ] || die "no case is called '$pattern'; the cases are: $(cut -f 1 "$work/all" | tr '\n' ' ')"
    done
fi

if [ -n "$profile" ]; then
    [ "$(wc -l <"$work/cases")" -eq 1 ] || die "--profile takes one case"
    # A hundred runs outweigh the start of the program, which is in the listing, too.
    read -r name operations <"$work/cases"
    valgrind --tool=callgrind --callgrind-out-file="$work/profile" "$work/counts" "$name" $((100 * operations)) \
        </dev/null >"$work/profile.log" 2>&1 || die "valgrind could not run $name; its output is $work/profile.log"
    callgrind_annotate "$work/profile" | grep -E '^ *[0-9,]+ ' | head -n 30 | swift demangle --simplified
    exit 0
fi
"$work/counts" --allocations >"$work/allocations"

# Two runs of each case, as many side by side as there are cores; each leaves its number in a file.
count_run() {
    local log=$work/$1.$2.log
    if ! valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/counts" "$1" "$2" </dev/null >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        return 1
    fi
    sed -n 's/^==[0-9]*== Collected : \([0-9]*\)$/\1/p' "$log" >"$work/$1.$2"
    [ -s "$work/$1.$2" ]
}
export -f count_run
export work
awk -F '\t' '{ print $1, $2; print $1, 2 * $2 }' "$work/cases" |
    xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 2 bash -c 'set -euo pipefail; count_run "$@"' count_run ||
    die "valgrind could not run a case; its output is in $work"

while IFS=$'\t' read -r name operations; do
    shorter=$(cat "$work/$name.$operations")
    longer=$(cat "$work/$name.$((2 * operations))")
    # Rounded to the nearest whole instruction.
    printf '%s %d %s\n' "$name" $(((2 * (longer - shorter) + operations) / (2 * operations))) \
        "$(awk -F '\t' -v name="$name" '$1 == name { print $2 }' "$work/allocations")"
done <"$work/cases" >"$work/counted"
say "counted in $((SECONDS - started)) s"

# --- compare -----------------------------------------------------------------------------------------------------------

# Other compilers and other versions of SwiftNIO make other code; who sees a difference shall know.
swift_version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1)
nio_version=$(awk '/"identity" : "swift-nio"$|"identity" : "swift-nio",$/ { mine = 1 }
    mine && /"version"/ { gsub(/[",]/, "", $3); print $3; exit }' "$package/Package.resolved")
made_with="Swift $swift_version, SwiftNIO $nio_version, $(uname -m)"

if [ -n "$update" ]; then
    {
        cat <<HEAD
# What one operation may cost at most, as counted by Tests/Benchmarks/run.sh; written by its --update.
# Instructions may exceed their number by $may_grow %, allocations not at all.
#
# made with: $made_with
#
HEAD
        printf '# %-36s %12s %12s\n' case instructions allocations
        # Cases that were not counted this time keep their thresholds; those that are gone lose them.
        awk '
            FILENAME == ARGV[1] { line[$1] = $0; next }
            FILENAME == ARGV[2] { if ($1 !~ /^#/ && NF == 3 && !($1 in line)) line[$1] = $0; next }
            $1 in line { split(line[$1], field, " "); printf "%-38s %12s %12s\n", field[1], field[2], field[3] }
        ' "$work/counted" <(cat "$thresholds" 2>/dev/null || true) "$work/all"
    } >"$work/thresholds"
    mv "$work/thresholds" "$thresholds"
    cat "$thresholds"
    exit 0
fi

[ -f "$thresholds" ] || die "there is no $thresholds; write it with $package/run.sh --update"
kept=$(sed -n 's/^# made with: //p' "$thresholds")
same_processor=1
if [ "${kept##* }" != "$(uname -m)" ]; then
    same_processor=0
    say "the thresholds are those of ${kept##* }, this is $(uname -m): only allocations are compared"
fi

status=0
awk -v may_grow="$may_grow" -v may_shrink="$may_shrink" -v compare="$same_processor" -v partial="${#patterns[@]}" '
    function complain(text) { complaints = complaints "  " name ": " text "\n" }
    function percent(now, then) { return sprintf("%+.1f %%", then > 0 ? (now - then) * 100 / then : 0) }
    BEGIN { printf "%-38s %12s %10s %12s\n", "case", "instructions", "change", "allocations" }
    FILENAME == ARGV[1] { if ($1 !~ /^#/ && NF == 3) { instructions[$1] = $2; allocations[$1] = $3 } next }
    {
        name = $1
        known = name in instructions
        printf "%-38s %12d %10s %12s\n", name, $2, known && compare ? percent($2, instructions[name]) : "-", $3
        if (!known) { complain("has no threshold"); next }
        seen[name] = 1
        if ($3 > allocations[name]) complain($3 " allocations, " allocations[name] " are allowed")
        if ($3 < allocations[name]) lower = lower "  " name ": " $3 " allocations instead of " allocations[name] "\n"
        if (!compare) next
        if ($2 > instructions[name] * (1 + may_grow / 100))
            complain($2 " instructions, " instructions[name] " and " may_grow " % are allowed: " percent($2, instructions[name]))
        if ($2 < instructions[name] * (1 - may_shrink / 100))
            lower = lower "  " name ": " $2 " instructions instead of " instructions[name] "\n"
    }
    END {
        if (!partial) for (name in instructions) if (!(name in seen)) complain("has a threshold and is no case any more")
        if (lower) printf "\ncheaper than its threshold, which should be lowered (Tests/Benchmarks/run.sh --update):\n%s", lower
        if (complaints) { printf "\nmore than the thresholds allow:\n%s", complaints; exit 1 }
    }
' "$thresholds" "$work/counted" || status=1
if [ "$status" -ne 0 ]; then
    [ "$kept" = "$made_with" ] || say "the thresholds were made with $kept; this is $made_with"
    say "a cost that is worth it is written down with: $package/run.sh --update"
    exit 1
fi
