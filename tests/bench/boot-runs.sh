#!/usr/bin/env bash
# The runs of scripts/bench boot, in turn: in the lab, or as root on a host that can do it.
# usage: boot-runs.sh OUT PROGRAMS KERNEL INITRD SHIM RUNS COUNT-RUNS VCPU-RUNS
#
# PROGRAMS is the folder of boot-watch, boot-floor and boot-floor-libraries.
# Leaves in OUT, of each run, SERIES.NUMBER as boot-watch wrote it, and SERIES.NUMBER.counts of the traced ones.
# Series: dom1, qemu (timed); dom1-cold (no kernel in dom1's cache), qemu-elf (the kernel unpacked beforehand);
# floor, floor-libraries, floor-shim (boot-floor.c); dom1-count, qemu-count (traced), and of these -none without the shim's log and
# -two with two vCPUs; dom1-vcpus, qemu-vcpus (four vCPUs, for their memory); dom1-smp, qemu-smp (two vCPUs, timed).
set -euo pipefail

out=$1
programs=$2
kernel=$3
initrd=$4
shim=$5
runs=$6
count_runs=$7
vcpu_runs=$8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=tests/bench/lib.sh
source "$here/lib.sh"

memory=512M
# What lies side by side and has so much is guest RAM, everything else is much smaller.
ram_mapping_kib=65536
guest_options="console=hvc0 quiet"
# A shim that says nothing.
quiet_options="loglvl=none guest_loglvl=none"
events=(kvm_exit kvm_emulate_insn kvm_userspace_exit kvm_pio kvm_mmio kvm_msr kvm_xen_hypercall)

# Lines of the shim's log.
shim_marks=(--mark "banner=Xen version " --mark "built=Scrubbing Free RAM")
log_marks=("${shim_marks[@]}")

scratch=$(mktemp -d)
tracing=
failures=0

# shellcheck disable=SC2317  # by trap
cleanup() {
  [[ ! $tracing ]] || rmdir "$tracing" 2>/dev/null || true
  rm -rf "$scratch"
}

open_tracing() {
  local folder=/sys/kernel/tracing
  [[ -d $folder/instances ]] || mount -t tracefs tracefs "$folder"
  tracing=$folder/instances/dom1-bench-$$
  mkdir "$tracing"
  # What one boot leaves, several times.
  echo 32768 >"$tracing/buffer_size_kb"
}

# watched SERIES NUMBER COMMAND...: one run, with $watch_options and $log_marks. A second try, since the host may be busy.
watched() {
  local name=$1.$2 try
  shift 2
  for try in 1 2; do
    if "$programs/boot-watch" --result "$out/$name" --log "$scratch/log" --limit "$limit_s" "${log_marks[@]}" \
      --mark "init=bench: init" "${watch_options[@]}" -- "$@" 2>"$scratch/stderr"; then
      ((${#log_marks[@]} == 0)) || same_shim_options "$name"
      tell "$name"
      return 0
    fi
    rm -f "$out/$name"
    cat "$scratch/log" "$scratch/stderr" >"$out/$name.failed-$try.log" 2>/dev/null || true
    failures=$((failures + 1))
    printf 'bench: %s failed: %s\n' "$name" "$(head -n 1 "$scratch/stderr")" >&2
  done
  exit 1
}

# tell NAME: what a run gave; what is counted in ns as ms.
tell() {
  awk -v name="$1" '
    { text = text " " $1 " " ($2 >= 1000000 ? sprintf("%.0f ms", $2 / 1000000) : $2) }
    END { printf "bench: %-13s%s\n", name, text }' "$out/$1" >&2
}

# The shim tells its options, and both VMMs must have given it the same.
same_shim_options() {
  local told
  told=$(tr -d '\r' <"$scratch/log" | sed -n 's/^(XEN) Command line: //p')
  if [[ $told != "$shim_options" ]]; then
    printf 'bench: %s: the shim got other options: %s\n' "$1" "$told" >&2
    exit 1
  fi
}

# run_dom1 SERIES NUMBER CACHE VCPUS [SHIM-OPTIONS]
run_dom1() {
  XDG_CACHE_HOME=$3 watched "$1" "$2" dom1 run --kernel "$kernel" --initrd "$initrd" --shim "$shim" --memory "$memory" \
    --vcpus "$4" --append "$guest_options" --shim-append "${shim_options##* }${5:+ $5}"
}

# run_qemu SERIES NUMBER KERNEL VCPUS [SHIM-OPTIONS]
run_qemu() {
  watched "$1" "$2" "${qemu[@]}" -m "$memory" -smp "$4" -kernel "$shim" -append "$shim_options${5:+ $5}" \
    -initrd "$3 $guest_options,$initrd"
}

# run_floor SERIES NUMBER PROGRAM [FILE]
run_floor() {
  local name=$1.$2
  "$programs/boot-watch" --result "$out/$name" --limit "$limit_s" --tracing "$tracing" --entry --mark "end=floor" \
    -- "$programs/$3" "${memory%M}" "${@:4}"
  tell "$name"
}

# Before anything counts: files come into the page cache, the kernel into dom1's.
warm_up() {
  watch_options=()
  rm -rf "$scratch/cache"
  mkdir "$scratch/cache"
  run_dom1 warm-up 1 "$scratch/cache" 1
  cp "$scratch"/cache/dom1/kernels/*.elf "$scratch/vmlinux"
  run_qemu warm-up 2 "$scratch/vmlinux" 1
  run_qemu warm-up 3 "$kernel" 1
  "$programs/boot-floor-libraries" "${memory%M}" >/dev/null
}

time_runs() {
  local i
  watch_options=(--tracing "$tracing" --entry)
  for ((i = 1; i <= runs; i++)); do
    run_dom1 dom1 "$i" "$scratch/cache" 1
    run_qemu qemu "$i" "$kernel" 1
    rm -rf "$scratch/cold"
    mkdir "$scratch/cold"
    run_dom1 dom1-cold "$i" "$scratch/cold" 1
    run_qemu qemu-elf "$i" "$scratch/vmlinux" 1
    run_floor floor "$i" boot-floor
    run_floor floor-libraries "$i" boot-floor-libraries
    run_floor floor-shim "$i" boot-floor "$shim"
    run_dom1 dom1-smp "$i" "$scratch/cache" 2
    run_qemu qemu-smp "$i" "$kernel" 2
  done
}

# counted SERIES NUMBER COMMAND...
counted() {
  "${@:3}"
  awk -f "$here/boot-counts.awk" "$tracing/trace" >"$out/$1.$2.counts"
}

count_runs() {
  local i event
  watch_options=(--tracing "$tracing" --memory "$ram_mapping_kib")
  for event in "${events[@]}"; do
    watch_options+=(--event "$event")
  done
  for ((i = 1; i <= count_runs; i++)); do
    counted dom1-count "$i" run_dom1 dom1-count "$i" "$scratch/cache" 1
    counted qemu-count "$i" run_qemu qemu-count "$i" "$kernel" 1
    counted dom1-count-two "$i" run_dom1 dom1-count-two "$i" "$scratch/cache" 2
    counted qemu-count-two "$i" run_qemu qemu-count-two "$i" "$kernel" 2
    log_marks=()
    counted dom1-count-none "$i" run_dom1 dom1-count-none "$i" "$scratch/cache" 1 "$quiet_options"
    counted qemu-count-none "$i" run_qemu qemu-count-none "$i" "$kernel" 1 "$quiet_options"
    log_marks=("${shim_marks[@]}")
  done
}

vcpu_runs() {
  local i
  watch_options=(--memory "$ram_mapping_kib")
  for ((i = 1; i <= vcpu_runs; i++)); do
    run_dom1 dom1-vcpus "$i" "$scratch/cache" 4
    run_qemu qemu-vcpus "$i" "$kernel" 4
  done
}

trap cleanup EXIT
limit_s=300
open_tracing
warm_up
time_runs
count_runs
vcpu_runs
describe_host guest_memory "$memory" shim_options "$shim_options" failures "$failures" >"$out/host"
rm -f "$out"/warm-up.*
