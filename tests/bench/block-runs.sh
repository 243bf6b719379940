#!/usr/bin/env bash
# The runs of scripts/bench block, in turn: in the lab, or as root on a host that can do it.
# usage: block-runs.sh OUT KERNEL INITRD SHIM FLOOR RUNS [MODULES]
#
# A guest of dom1, and one of QEMU for each of its ways to do asynchronous I/O, up at the same time and idle but for the one
# that is measured: it gets a line on the console, reads a disk for a while, and says how often. Leaves in OUT, of each run,
# VMM.LOAD.NUMBER: lines "NAME NUMBER"; VMM is dom1, native, io_uring, and for what FLOOR (tests/bench/block-floor.c) takes
# floor-apart, floor-whole. MODULES: of this host's kernel, where modprobe has none.
set -euo pipefail

out=$1
kernel=$2
initrd=$3
shim=$4
floor=$5
runs=$6
modules=${7-}

memory=320M
load_ms=700
# One transfer takes so long, by a timer of the host's: of the disk whose reads are counted, and of one that hardly waits, for
# the latency. The CPU of the lab has a fortieth of the speed of a real one, and the first is a fortieth of a good SSD.
disk_ns=4000000
fast_ns=100000
guest_options="console=hvc0 quiet xen_blkfront.max_indirect_segments=256 xen_blkfront.max_ring_page_order=2"
declare -A loads=([random4k]="xvda random 4096 32" [sequential128k]="xvda sequential 131072 8" [latency4k]="xvdb random 4096 1")
declare -A typed=() answers=()
scratch=$(mktemp -d)
# shellcheck source=tests/bench/lib.sh
source "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2317  # by trap
cleanup() {
  stop_all
  rmdir /sys/kernel/config/nullb/bench-* 2>/dev/null || true
  rm -rf "$scratch"
}

# make_disk NAME TRANSFER_NS: a device without data that completes by a timer: asynchronous as a real one, and without a
# part in CPU time. It takes as much at a time as most do.
make_disk() {
  local folder=/sys/kernel/config/nullb/$1 setting
  mkdir "$folder"
  for setting in size=1024 memory_backed=0 submit_queues=1 hw_queue_depth=256 max_sectors=2560 irqmode=2 "completion_nsec=$2" power=1; do
    echo "${setting#*=}" >"$folder/${setting%%=*}"
  done
}

load_null_blk() {
  if [[ $modules ]]; then
    [[ -e /sys/module/configfs ]] || insmod "$modules/configfs.ko" 2>/dev/null || true
    insmod "$modules/null_blk.ko" nr_devices=0
  else
    modprobe null_blk nr_devices=0
  fi
  [[ -d /sys/kernel/config/nullb ]] || mount -t configfs configfs /sys/kernel/config
}

# A line to a guest's console, and the numbers of its answer in $answer. Looking for it would take from what is measured.
ask() {
  local name=$1 ms=${*: -1}
  shift
  printf '%s\n' "$*" >&"${typed[$name]}"
  sleep "$((ms / 1000)).$((ms % 1000 / 100))"
  answers[$name]=$((${answers[$name]} + 1))
  wait_until "$name: the guest does not answer to $*" has_answers "$name" "${answers[$name]}"
  read -r -a answer < <(answers_of "$name" | tail -n 1)
}

answers_of() {
  tr -d '\r' <"$scratch/$1" | sed -n 's/^.*bench: did \([0-9]\)/\1/p'
}

has_answers() {
  (($(answers_of "$1" | wc -l) >= $2))
}

# The kernel's own threads: what they do while all others are idle they do for the one that is measured.
helpers() {
  local stat line fields run rest total=0
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    read -r -a fields <<<"${line##*) }"
    [[ ${fields[1]} == 2 ]] || continue
    read -r run rest <"${stat%stat}schedstat" || continue
    total=$((total + run))
  done
  printf '%s\n' "$total"
}

# measure NAME LOAD NUMBER
measure() {
  local before after helped file=$out/$1.$2.$3
  helped=$(helpers)
  read -r -a before < <(cpu "$1")
  ask "$1" "${loads[$2]}" "$load_ms"
  read -r -a after < <(cpu "$1")
  helped=$(($(helpers) - helped))
  printf '%s %s\n' operations "${answer[0]}" took_ns "${answer[1]}" latency_ns "${answer[2]}" events "${answer[3]}" \
    cpu_ns "$((after[0] - before[0] + helped))" guest_ns "$((after[1] - before[1]))" helpers_ns "$helped" >"$file"
  printf 'bench: %-24s %6d reads, CPU us each: %d, %d of them in the guest, %d in threads of the kernel\n' "${file##*/}" \
    "${answer[0]}" "$(((after[0] - before[0] + helped) / 1000 / answer[0]))" \
    "$(((after[1] - before[1]) / 1000 / answer[0]))" "$((helped / 1000 / answer[0]))" >&2
}

# measure_floor LOAD NUMBER PAGES: the same reads without a guest, of the disk that keeps the CPU busy.
measure_floor() {
  local words
  read -r -a words <<<"${loads[$1]}"
  "$floor" /dev/bench-fast "${words[2]}" "${words[3]}" "$load_ms" "$3" >"$out/floor-$3.$1.$2"
}

# private NAME: KiB of memory of its own, without the guest's RAM: the mapping of that size and larger ones.
private() {
  local pid
  for pid in $(processes "$1"); do
    cat "/proc/$pid/smaps"
  done | awk '/^Size:/ { size = $2 } /^Private_Dirty:/ && size < 65536 { sum += $2 } END { print sum + 0 }'
}

# What each more disk takes when it was read with much in flight.
measure_memory() {
  local before vdev more=(xvdc xvdd xvde xvdf)
  before=$(private dom1)
  for vdev in "${more[@]}"; do
    truncate -s 64M "$scratch/$vdev"
    dom1 disk attach "bench-$$" "$scratch/$vdev,ro,vdev=$vdev" >/dev/null
    ask dom1 "$vdev" random 131072 32 200
  done
  printf 'disk_kib %s\n' "$((($(private dom1) - before) / ${#more[@]}))"
}

# give_keys NAME: opens what is typed at its console.
give_keys() {
  rm -f "$scratch/$1.typed"
  mkfifo "$scratch/$1.typed"
  exec {fd}<>"$scratch/$1.typed"
  typed[$1]=$fd
  answers[$1]=0
}

# host_disk NAME FILE WAY: of QEMU.
host_disk() {
  qemu_disks+=(-blockdev "driver=host_device,node-name=$1,filename=$2,cache.direct=on,read-only=on,locking=off,aio=$3"
    -device "xen-disk,drive=$1,vdev=$1,iothread=io")
}

start_all() {
  local way name qemu_disks
  give_keys dom1
  start_dom1 dom1 --kernel "$kernel" --initrd "$initrd" --shim "$shim" --memory "$memory" --append "$guest_options" \
    --no-auto-append --disk "/dev/bench-disk,ro,cache=direct" --disk "/dev/bench-fast,ro,cache=direct" <"$scratch/dom1.typed"
  for way in native io_uring; do
    qemu_disks=(-object "iothread,id=io")
    host_disk xvda /dev/bench-disk "$way"
    host_disk xvdb /dev/bench-fast "$way"
    give_keys "$way"
    start_qemu "$way" "$memory" "$shim" "$kernel" "$guest_options" "$initrd" "${qemu_disks[@]}" <"$scratch/$way.typed"
  done
  for name in dom1 native io_uring; do
    wait_until "the guest of $name does not come up" grep -q "bench: ready" "$scratch/$name"
  done
}

trap cleanup EXIT
load_null_blk
make_disk bench-disk "$disk_ns"
make_disk bench-fast "$fast_ns"
start_all
# What a host's kernel does with memory that is new is not what a read costs.
for name in dom1 native io_uring; do
  ask "$name" "${loads[random4k]}" 300
done
for ((i = 1; i <= runs; i++)); do
  for load in random4k sequential128k latency4k; do
    for name in dom1 native io_uring; do
      measure "$name" "$load" "$i"
    done
  done
done
measure_memory >"$out/memory"
stop_all
for ((i = 1; i <= runs; i++)); do
  measure_floor random4k "$i" apart
  measure_floor sequential128k "$i" apart
  measure_floor sequential128k "$i" whole
done
describe_host guest_memory "$memory" disk_us $((disk_ns / 1000)) fast_us $((fast_ns / 1000)) \
  seconds "$(printf '%d.%d' $((load_ms / 1000)) $((load_ms % 1000 / 100)))" >"$out/host"
