#!/usr/bin/env bash
# The runs of scripts/bench harness, in turn: in the lab, or on a host that can do it.
# usage: harness-runs.sh OUT GUEST RUNS TARGETS
#
# What dom1 test costs besides the guests it runs. Leaves in OUT, of each run, run.NUMBER and test.NUMBER: lines "NAME
# NANOSECONDS" for one tiny guest that reports a success, or crashes: by dom1 run alone, and by dom1 test. And set.1, alone.1:
# TARGETS of them by one dom1 test with as many jobs as there are CPUs, and one after the other by dom1 run.
#
# A domain's end waits for the kernel, whose grace periods end at a tick. Runs that follow one another fall in step with it, and
# all come out as a number of ticks. So a figure is the mean of several, which start at moments spread over a tick.
set -euo pipefail

BATCH=8
TICK_100US=40
out=$1
guest=$2
runs=$3
targets=$4
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch=$(mktemp -d)
export XDG_RUNTIME_DIR=$scratch/runtime XDG_CACHE_HOME=$scratch/cache
mkdir "$scratch/runtime" "$scratch/cache" "$scratch/set"
trap 'rm -rf "$scratch"' EXIT

target() {
  printf 'kernel = "%s"\ntype = "pvh"\nmemory = 32\ncmdline = "%s"\non_reboot = "destroy"\n' "$guest" "$2" >"$1"
}

# timed FILE NAME TIMES STATUS COMMAND...: the mean time of so many runs, without the start of another program around them.
timed() {
  local file=$1 name=$2 times=$3 wanted=$4 from i sum_us=0
  shift 4
  for ((i = 0; i < times; i++)); do
    status=0
    sleep "$(printf '0.%04d' $((i * TICK_100US / times)))"
    from=${EPOCHREALTIME/./}
    "$@" </dev/null >"$scratch/log" 2>&1 || status=$?
    sum_us=$((sum_us + ${EPOCHREALTIME/./} - from))
    ((status == wanted)) || die "$*: status $status: $(tail -n 2 "$scratch/log")"
  done
  printf '%s %s\n' "$name" "$((sum_us * 1000 / times))" >>"$file"
}

# once NUMBER: the one and the other, by turns.
once() {
  timed "$out/run.$1" success "$BATCH" 0 dom1 run "$scratch/good.cfg"
  timed "$out/test.$1" success "$BATCH" 0 dom1 test "$scratch/good.cfg"
  timed "$out/run.$1" crash "$BATCH" 34 dom1 run "$scratch/crash.cfg"
  timed "$out/test.$1" crash "$BATCH" 34 dom1 test "$scratch/crash.cfg"
}

target "$scratch/good.cfg" "say S"
target "$scratch/crash.cfg" "end 3"
# Before anything counts: files come into the page cache.
once warm-up
for ((i = 1; i <= runs; i++)); do
  once "$i"
done
for ((i = 0; i < targets; i++)); do
  target "$scratch/set/$(printf '%03d' "$i").cfg" "say S"
done
for ((i = 0; i < targets; i++)); do
  timed "$scratch/alone" one 1 0 dom1 run "$scratch/set/$(printf '%03d' "$i").cfg"
done
awk '{ sum += $2 } END { printf "alone %.0f\n", sum }' "$scratch/alone" >"$out/alone.1"
timed "$out/set.1" set 1 0 dom1 test "$scratch/set"
grep -qx "0 passed, 0 failed, $targets skipped" "$scratch/log" || die "not $targets: $(tail -n 1 "$scratch/log")"
describe_host targets "$targets" >"$out/host"
rm -f "$out"/*.warm-up
