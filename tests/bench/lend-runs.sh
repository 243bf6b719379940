#!/usr/bin/env bash
# The runs of scripts/bench lend: in the lab, or on a host that can do it.
# usage: lend-runs.sh OUT GUEST LENDER RUNS
#
# A guest of ours with two vCPUs and a lender in another process, for each kind of memory. Leaves in OUT, of each run,
# KIND.NUMBER: the lender's lines "METRIC MEDIAN P99.9 WORST N" in microseconds (tests/tools/lend-check-bench.c), and one
# "slowest_revoke TIME IN_KERNEL PAGES N".
set -euo pipefail

out=$1
guest=$2
lender=$3
runs=$4
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch=$(mktemp -d)
export XDG_RUNTIME_DIR=$scratch
trap 'rm -rf "$scratch"' EXIT

# run KIND NUMBER
run() {
  local name=lend-$1-$2 pid i status=0
  dom1 run --type pvh --kernel "$guest" --memory 64M --vcpus 2 --timeout 250 --append lend --name "$name" \
    --lend-window 64M,gpa=0xd0000000 --lend-window 2M,gpa=0xe0000000 </dev/null >"$scratch/console" 2>"$scratch/stderr" &
  pid=$!
  for ((i = 0; i < 300; i++)); do
    ! grep -q '^waiting' "$scratch/console" || break
    sleep 0.1
  done
  timeout 240 "$lender" "$scratch/dom1/$name/lend.sock" "$1" bench >"$scratch/lender" || status=$?
  wait "$pid" || status=$?
  if ((status != 0)); then
    cat "$scratch/lender" "$scratch/stderr" >&2
    exit 1
  fi
  grep -v passed "$scratch/lender" >"$out/$1.$2"
  printf 'bench: %s.%s done\n' "$1" "$2" >&2
}

for ((number = 1; number <= runs; number++)); do
  run memfd "$number"
  run guest_memfd "$number"
done
describe_host runs "$runs" >"$out/host"
