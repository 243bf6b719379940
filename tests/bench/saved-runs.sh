#!/usr/bin/env bash
# The runs of scripts/bench saved, in turn: in the lab, or on a host that can do it.
# usage: saved-runs.sh OUT GUEST KERNEL INITRD RUNS CLONES
#
# What a saved domain costs. Leaves in OUT start.NUMBER and restore.NUMBER, lines "NAME NANOSECONDS": from exec to the guest's first
# instruction, of GUEST with little and with much memory; save.NUMBER and write.NUMBER, the same of a PVH Linux (KERNEL, INITRD) that is
# saved again, and of a program that writes as many bytes; and clones.1, one.1: KiB that CLONES of it take, and that one takes.
set -euo pipefail

out=$1
guest=$2
kernel=$3
initrd=$4
runs=$5
clones=$6
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch=$(mktemp -d)
export XDG_RUNTIME_DIR=$scratch/runtime XDG_CACHE_HOME=$scratch/cache
mkdir "$scratch/runtime" "$scratch/cache"
trap 'stop_all; rm -rf "$scratch"' EXIT

# started FILE NAME OPTION...: when its first vCPU runs. It is ended when it has said something.
started() {
  local file=$1 metric=$2
  shift 2
  : >"$scratch/dom1"
  dom1 run --name "bench-$$" --report "$scratch/report" "$@" </dev/null >"$scratch/dom1" 2>"$scratch/dom1.stderr" &
  pids[dom1]=$!
  wait_until "the guest says nothing" grep -q "^round" "$scratch/dom1"
  stop_all
  printf '%s %s\n' "$metric" "$(tr -d ' \n' <"$scratch/report" | sed -n 's/.*"phase":"vcpu_run","t_ns":\([0-9]*\).*/\1/p')" >>"$file"
}

# timed FILE NAME COMMAND...
timed() {
  local file=$1 name=$2 from=${EPOCHREALTIME/./}
  shift 2
  "$@" </dev/null >"$scratch/log" 2>&1 || die "$*: $(tail -n 2 "$scratch/log")"
  printf '%s %s\n' "$name" "$(((${EPOCHREALTIME/./} - from) * 1000))" >>"$file"
}

# By all domains that run, each page of the page cache once.
taken_kib() {
  local pid
  for pid in $(pgrep -x dom1) $(pgrep -x dom1-machine); do
    sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup"
  done >"$scratch/pss"
  awk '{ sum += $1 } END { print sum }' "$scratch/pss"
}

# clone NUMBER: their memory, some time after they have gone on.
clone() {
  dom1 clone "$scratch/linux.saved" -n "$1" --name "bench-$$" -- --console "file:$scratch/clone-{n}" </dev/null 2>"$scratch/dom1.stderr" &
  pids[dom1]=$!
  wait_until "a clone says nothing" grep -q "bench: init" "$scratch/clone-$1"
  sleep 2
  printf 'taken %s\n' "$(taken_kib)"
  stop_all
  rm -f "$scratch"/clone-*
}

for mib in 64 512; do
  dom1 run --type pvh --kernel "$guest" --memory "${mib}M" --append saved --console null --timeout 60 \
    --save-at "$scratch/$mib.saved,console=^round 2\$" </dev/null
done
for ((i = 0; i <= runs; i++)); do
  for mib in 64 512; do
    started "$out/start.$i" "memory_$mib" --type pvh --kernel "$guest" --memory "${mib}M" --append saved
    started "$out/restore.$i" "memory_$mib" --restore "$scratch/$mib.saved"
  done
done
# Before anything counts: files come into the page cache.
rm -f "$out/start.0" "$out/restore.0"

dom1 run --type pvh --kernel "$kernel" --initrd "$initrd" --memory 256M --append console=hvc0 --console null --timeout 300 \
  --save-at "$scratch/linux.saved,init" </dev/null
read -r blocks < <(stat -c %b "$scratch/linux.saved")
bytes=$((blocks * 512))
clone 1 >"$out/one.1"
clone "$clones" >"$out/clones.1"
dom1 run --restore "$scratch/linux.saved" --name "bench-$$" --console "file:$scratch/linux" </dev/null 2>"$scratch/dom1.stderr" &
pids[dom1]=$!
wait_until "Linux does not go on" grep -q "bench: init" "$scratch/linux"
for ((i = 1; i <= runs; i++)); do
  timed "$out/save.$i" save dom1 save --leave-running "bench-$$" "$scratch/again.saved"
  timed "$out/write.$i" save dd if="$scratch/again.saved" of="$scratch/written" bs=1M count=$((bytes >> 20)) conv=fdatasync
  rm "$scratch/written"
done
stop_all
describe_host clones "$clones" >"$out/host"
printf 'stored_mib %s\n' "$((bytes >> 20))" >>"$out/host"
