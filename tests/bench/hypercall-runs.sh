#!/usr/bin/env bash
# The runs of scripts/bench hypercall, in turn: in the lab, or on a host that can do it.
# usage: hypercall-runs.sh OUT GUEST FLOOR RUNS
#
# Leaves in OUT, of each run, VMM.NUMBER: the guest's lines "bench NAME MEDIAN MIN N" (tests/bench/hypercall/main.c);
# and floor.NUMBER, what no VMM can save (tests/bench/hypercall/floor.c).
set -euo pipefail

out=$1
guest=$2
floor=$3
runs=$4

memory=64M
limit_s=180
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

failures=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# run VMM NUMBER COMMAND...: a second try, since the host may be busy.
run() {
  local name=$1.$2 try status
  shift 2
  for try in 1 2; do
    status=0
    timeout "$limit_s" "$@" </dev/null >"$scratch/log" 2>"$scratch/stderr" || status=$?
    tr -d '\r' <"$scratch/log" | grep '^bench ' >"$out/$name" || true
    if [[ $status == 0 ]] && grep -q '^Test result: SUCCESS' "$scratch/log"; then
      printf 'bench: %s: %s\n' "$name" "$(awk '{ printf "%s %s  ", $2, $3 }' "$out/$name")" >&2
      return 0
    fi
    rm -f "$out/$name"
    cat "$scratch/log" "$scratch/stderr" >"$out/$name.failed-$try.log"
    failures=$((failures + 1))
    printf 'bench: %s failed with status %s: %s\n' "$name" "$status" "$(tail -n 1 "$scratch/stderr")" >&2
  done
  exit 1
}

run_dom1() {
  run dom1 "$1" dom1 run --type pvh --kernel "$guest" --memory "$memory" --vcpus 2
}

# It boots the guest with its PVH option ROM.
run_qemu() {
  run qemu "$1" "${qemu[@]}" -m "$memory" -smp 2 -kernel "$guest"
}

# Before anything counts: files come into the page cache.
run_dom1 warm-up
run_qemu warm-up
for ((i = 1; i <= runs; i++)); do
  "$floor" >"$out/floor.$i"
  run_dom1 "$i"
  run_qemu "$i"
done
describe_host guest_memory "$memory" failures "$failures" >"$out/host"
rm -f "$out"/*.warm-up
