#!/usr/bin/env bash
# The runs of scripts/bench scale, in turn: in the lab, or on a host that can do it.
# usage: scale-runs.sh OUT GUEST RUNS DOMAINS LINUX INITRD
#
# GUEST is the tests' (tests/guest/abi/test_scale.c), with 16 MiB. Leaves in OUT
#   start.NUMBER    lines "VMM NANOSECONDS": a start to the end of a guest that does nothing
#   domains.VMM     lines "N AVAILABLE_KIB GUEST_KIB PRIVATE_KIB START_NS": with N idle guests, what the host has left, what of the guests'
#                   own memory is there, what the VMMs' processes have to themselves besides, and the last one's start
#   series.NUMBER   lines "WHAT N NANOSECONDS PRIVATE_KIB": a run of a guest with N of something, and its peak by dom1's report
#   linux.dom1      as domains.*, with PVH Linux guests
# QEMU gets the same guest by its PVH option ROM, with the best settings of tests/bench/lib.sh.
set -euo pipefail

out=$1
guest=$2
runs=$3
domains=$4
linux=$5
initrd=$6
memory=16M
linux_memory=128M
# shellcheck source=tests/bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch=$(mktemp -d)
export XDG_RUNTIME_DIR=$scratch/runtime XDG_CACHE_HOME=$scratch/cache
mkdir "$scratch/runtime" "$scratch/cache"
mkfifo "$scratch/never"
exec {never}<>"$scratch/never"
trap 'stop_all; rm -rf "$scratch"' EXIT

run_dom1=(dom1 run --type pvh --kernel "$guest" --memory "$memory")
run_qemu=("${qemu[@]}" -m "$memory" -smp 1 -kernel "$guest")

# timed COMMAND...: sets $took_ns; its output is in $scratch/log.
timed() {
  local from=${EPOCHREALTIME/./} status=0
  "$@" </dev/null >"$scratch/log" 2>&1 || status=$?
  took_ns=$(((${EPOCHREALTIME/./} - from) * 1000))
  if ((status != 0)) || ! grep -q '^Test result: SUCCESS' "$scratch/log"; then
    die "$*: status $status: $(tail -n 2 "$scratch/log")"
  fi
}

# One start of each, by turns.
starts() {
  timed "${run_dom1[@]}" --append "scale s"
  printf 'dom1 %s\n' "$took_ns" >>"$out/start.$1"
  timed "${run_qemu[@]}" -append "scale s"
  printf 'qemu %s\n' "$took_ns" >>"$out/start.$1"
}

# memory NAME...: KiB of guests and of the rest, of all processes with one of these names.
memory() {
  local pid name
  for pid in /proc/[0-9]*; do
    { read -r name <"$pid/comm"; } 2>/dev/null || continue
    [[ " $* " != *" ${name%% *} "* ]] || cat "$pid/smaps"
  done | awk '
    # The largest by far is the guest: 16 MiB, or more where pages beside it were merged with it.
    /^[0-9a-f]+-[0-9a-f]+ / { size = 0 }
    /^Size:/ { size = $2 }
    /^Rss:/ { rss = $2 }
    /^Private_Dirty:/ { dirty = $2 }
    /^VmFlags:/ { if (/ dd( |$)/ || size >= 16000) guest += rss; else private += dirty }
    END { print guest + 0, private + 0 }'
}

available_kib() {
  awk '/^MemAvailable:/ { print $2 }' /proc/meminfo
}

# is_up FILE TEXT: without a program, which would take longer than what it looks for.
is_up() {
  local text
  mapfile -t text <"$1"
  [[ ${text[*]} == *"$2"* ]]
}

# many VMM FILE NAMES TEXT COMMAND...: as many as $domains at last, and what they take at each power of two.
many() {
  local vmm=$1 file=$2 names=$3 mark=$4 n from
  shift 4
  for ((n = 1; n <= domains; n++)); do
    from=${EPOCHREALTIME/./}
    : >"$scratch/$vmm-$n"
    "$@" </dev/null >"$scratch/$vmm-$n" 2>"$scratch/$vmm-$n.stderr" &
    pids[$vmm-$n]=$!
    until is_up "$scratch/$vmm-$n" "$mark"; do
      kill -0 "$!" 2>/dev/null || die "$vmm $n: $(tail -n 2 "$scratch/$vmm-$n.stderr")"
      ((${EPOCHREALTIME/./} - from < 120000000)) || die "$vmm $n is not up"
      read -r -t 0.002 <&"$never" || true
    done
    from=$(((${EPOCHREALTIME/./} - from) * 1000))
    if (((n & (n - 1)) == 0)); then
      # shellcheck disable=SC2086  # its words
      printf '%s %s %s %s\n' "$n" "$(available_kib)" "$(memory $names)" "$from" >>"$file"
      printf 'bench: %s: %s\n' "${file##*/}" "$(tail -n 1 "$file")" >&2
    fi
  done
  stop_all
}

# series NUMBER WHAT N OPTION...
series() {
  local file=$out/series.$1 what=$2 n=$3
  shift 3
  timed "${run_dom1[@]}" --report "$scratch/report.json" "$@"
  printf '%s %s %s %s\n' "$what" "$n" "$took_ns" \
    "$(tr -d ' \n' <"$scratch/report.json" | sed -n 's/.*"peak_private_kib":\([0-9]*\).*/\1/p')" >>"$file"
  printf 'bench: %s: %s\n' "${file##*/}" "$(tail -n 1 "$file")" >&2
}

all_series() {
  local n i options
  for n in 1 2 4 8 16 32; do
    series "$1" vcpus "$n" --vcpus "$n" --append "scale s"
  done
  for n in 0 1 2 4 8 16; do
    options=()
    for ((i = 0; i < n; i++)); do
      options+=(--disk "$scratch/disk-$i")
    done
    series "$1" disks "$n" "${options[@]}" --append "scale s"
  done
  for n in 0 500 1000 2000 4000; do
    series "$1" ports "$n" --append "scale p$n"
  done
  for n in 0 125 250 500 900; do
    series "$1" nodes "$n" --append "scale n$n"
  done
  for n in 0 1 2 4 8; do
    options=()
    for ((i = 0; i < n; i++)); do
      options+=("--lend-window=2M,gpa=$(printf '0x%x' $((0xd0000000 + i * 0x1000000)))")
    done
    series "$1" windows "$n" "${options[@]}" --append "scale s"
  done
}

for ((i = 0; i < 16; i++)); do
  truncate -s 16M "$scratch/disk-$i"
done
# Before anything counts: files come into the page cache.
starts warm-up
all_series warm-up
rm -f "$out"/*.warm-up
for ((i = 1; i <= runs; i++)); do
  starts "$i"
  all_series "$i"
done
many dom1 "$out/domains.dom1" "dom1 dom1-machine" ready "${run_dom1[@]}" --append "scale i"
linux_domains=$((domains / 8))
qemu_domains=$((domains / 4))
domains=$qemu_domains many qemu "$out/domains.qemu" qemu-system-x86 ready "${run_qemu[@]}" -append "scale i"
domains=$linux_domains many dom1 "$out/linux.dom1" "dom1 dom1-machine" "bench: init" \
  dom1 run --type pvh --kernel "$linux" --initrd "$initrd" --memory "$linux_memory" --append "console=hvc0 quiet"
describe_host memory "$memory" linux_memory "$linux_memory" >"$out/host"
