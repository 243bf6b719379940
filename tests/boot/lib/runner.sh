#!/usr/bin/env bash
# Runs boot tests one after the other, where dom1 works: in the lab or natively. scripts/test starts it.
# usage: runner.sh OUT GUEST NAME...
#
# NAME is a file tests/boot/NAME.sh, or NAME/VARIANT for one of the file's variants. Each gets folders of its own, a
# limit, and a look at what it left behind. A line "ok NAME..." or "FAIL NAME..." tells how it went.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
out=$(realpath "$1")
export DOM1_GUEST=$2
shift 2
export DOM1_GUESTS=$root/build/deps/guest
export DOM1_DEBIAN_ROOT=$root/build/debian-root
export DOM1_TOOLS=$root/build/host/tests/tools
# Unpacked for tests that name them.
export DOM1_PACKAGES=$root/build/deps/packages
export DOM1_SHIM=$DOM1_GUESTS/xen-shim
export PATH=$root/build/host:$PATH
# What a domain may take besides the guest's RAM: docs/performance.md, "Memory that a domain takes".
promised_kib=3072

work=$(mktemp -d)
# Unpacked kernels are shared by the tests.
export XDG_CACHE_HOME=$work/cache
mkdir "$XDG_CACHE_HOME"
trap 'rm -rf "$work"' EXIT

# header KEY FILE: what follows "# KEY:" in a test.
header() {
  sed -n "s/^# $1: *//p" "$2" | head -n 1
}

# Processes of the test, by the mark in their environment.
processes() {
  local dir
  for dir in /proc/[0-9]*; do
    if [[ ${dir#/proc/} != "$$" ]] && grep -qzxF "DOM1_BOOT_SCRATCH=$scratch" "$dir/environ" 2>/dev/null; then
      printf '%s\n' "${dir#/proc/}"
    fi
  done
}

# What a test left behind, as text. Processes that were killed may need a moment.
leftovers() {
  local i pid pids=
  for ((i = 0; i < 30; i++)); do
    pids=$(processes)
    [[ $pids ]] || break
    sleep 0.1
  done
  for pid in $pids; do
    echo "left behind: process $pid, $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
    kill -KILL "$pid" 2>/dev/null || true
  done
  find "$scratch/cwd" "$scratch/runtime" -mindepth 1 ! -path "$scratch/runtime/dom1" -printf 'left behind: %p\n'
}

# start_watcher: looks at the memory of the test's domains, until stop_watcher.
start_watcher() {
  "$DOM1_TOOLS/watch-memory" "DOM1_BOOT_SCRATCH=$scratch" "$DOM1_BOOT_OUT/memory" >>"$DOM1_BOOT_OUT/log" 2>&1 </dev/null &
  watcher=$!
}

# stop_watcher FILE: fails when a domain took more memory than is promised, or than the test FILE says in "# private-kib:".
stop_watcher() {
  local limit_kib pid kib machine_kib result=0
  kill "$watcher"
  wait "$watcher" || {
    echo "fail: the memory watcher ended with status $?"
    return 1
  }
  limit_kib=$(header private-kib "$1")
  limit_kib=${limit_kib:-$promised_kib}
  while read -r pid kib machine_kib; do
    if ((kib > limit_kib)); then
      echo "fail: a domain (process $pid) took $kib KiB besides the guest's RAM, its machine $machine_kib of them: more than $limit_kib"
      result=1
    fi
  done <"$DOM1_BOOT_OUT/memory"
  return "$result"
}

# within_bounds TEST: whether the counts of its first domain stay below what tests/boot/bounds has for it.
within_bounds() {
  local test key most got result=0
  while read -r test key most; do
    [[ $test == "$1" ]] || continue
    got=$("$DOM1_TOOLS/report-facts" "$DOM1_BOOT_OUT/1/report.json" | sed -n "s/^count $key //p")
    if ! ((${got:--1} >= 0 && got <= most)); then
      echo "fail: bounds: $key is ${got:-not in the report}, and may be $most (tests/boot/bounds)"
      result=1
    fi
  done < <(sed 's/#.*//' "$root/tests/boot/bounds")
  return "$result"
}

# tail_of FILE NUMBER: its last lines, for a person's terminal.
tail_of() {
  tail -c 4000 "$1" | tail -n "$2" | tr -d '\r' | tr -c '\11\12\40-\176' '?' | sed 's/^/  | /'
}

# What helps to understand a failure; the rest is in the folder that is kept.
show() {
  local run
  sed 's/^/  | /' "$DOM1_BOOT_OUT/log"
  for run in "$DOM1_BOOT_OUT"/[0-9]*; do
    [[ -d $run ]] || continue
    echo "  | --- run ${run##*/}: $(cat "$run/command")"
    if [[ -s $run/stderr ]]; then
      head -n 3 "$run/stderr" | cut -c 1-300 | sed 's/^/  | /'
    fi
    if [[ -s $run/console ]]; then
      echo "  | --- console"
      tail_of "$run/console" 20
      echo
    fi
    if [[ -s $run/shim.log ]]; then
      echo "  | --- shim's log"
      tail_of "$run/shim.log" 10
      echo
    fi
    if [[ -s $run/report.json ]]; then
      echo "  | --- report: $(tr -s ' \n' ' ' <"$run/report.json" | cut -c 1-300)"
    fi
  done
}

# run_test NAME: its status.
run_test() {
  local name=$1 file=$root/tests/boot/${1%%/*}.sh variant=() limit status=0 left
  [[ $name != */* ]] || variant=("${name#*/}")
  limit=$(header limit "$file")
  limit=${limit:-300}
  export DOM1_BOOT_SCRATCH=$work/test DOM1_BOOT_OUT=$out/${name//\//-} DOM1_BOOT_LIMIT_S=$limit
  scratch=$DOM1_BOOT_SCRATCH
  rm -rf "$scratch" "$DOM1_BOOT_OUT"
  mkdir -p "$scratch/cwd" "$DOM1_BOOT_OUT"
  mkdir -m 700 "$scratch/runtime"
  start_watcher
  # A group of its own: what a test starts in the background ends with it.
  (cd "$scratch/cwd" && XDG_RUNTIME_DIR=$scratch/runtime \
    timeout -k 5 "$limit" bash "$file" "${variant[@]}" >"$DOM1_BOOT_OUT/log" 2>&1 </dev/null) || status=$?
  if ((status == 124 || status == 137)); then
    echo "fail: the test did not end within $limit s" >>"$DOM1_BOOT_OUT/log"
  fi
  stop_watcher "$file" >>"$DOM1_BOOT_OUT/log" || status=1
  ((status != 0)) || within_bounds "$1" >>"$DOM1_BOOT_OUT/log" || status=1
  left=$(leftovers)
  if [[ $left ]]; then
    printf '%s\n' "$left" >>"$DOM1_BOOT_OUT/log"
    status=1
  fi
  return "$status"
}

if ! dom1 check >"$out/check" 2>&1; then
  echo "boot tests: dom1 cannot run here: $(cat "$out/check")"
  exit 1
fi
for name in "$@"; do
  began=$SECONDS
  if run_test "$name"; then
    echo "ok    $name ($((SECONDS - began)) s)"
  else
    echo "FAIL  $name ($((SECONDS - began)) s)"
    show
  fi
done
