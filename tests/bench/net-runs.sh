#!/usr/bin/env bash
# The runs of scripts/bench net, in turn: in the lab, or as root on a host that can do it.
# usage: net-runs.sh OUT KERNEL INITRD SHIM RUNS
#
# One guest of each VMM, both with a tap and with user networking, up at the same time and idle but for the one that is
# measured: TCP by iperf3, which serves in the guest. Leaves in OUT, of each run, VMM.NET.DIRECTION.NUMBER: a line
# "bytes N", and "cpu_ns N" and "guest_ns N", the CPU time of the VMM with its helpers, and the guest's part of it.
set -euo pipefail

out=$1
kernel=$2
initrd=$3
shim=$4
runs=$5

memory=320M
transfer_s=4
guest_options="console=hvc0 quiet"
shim_options="pv-shim no-real-mode console=xen console=xen,pv"
machine=pc,hpet=off,usb=off,smbus=off,vmport=off,i8042=off,mem-merge=off,dump-guest-core=off
scratch=$(mktemp -d)
pids=()

die() {
  printf 'bench: %s\n' "$*" >&2
  exit 1
}

# shellcheck disable=SC2317  # by trap
cleanup() {
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
  wait || true
  rm -rf "$scratch"
  if [[ -e $out/lab ]]; then
    ip link del up0 2>/dev/null || true
  fi
}

# passt takes what it tells the guest from an interface with a default route; the lab has none.
make_uplink() {
  [[ -e $out/lab ]] || return 0
  busybox tunctl -t up0 >/dev/null
  ip address add 10.77.0.1/24 dev up0
  ip link set up0 up
  ip route add default via 10.77.0.2
}

start_dom1() {
  dom1 run --kernel "$kernel" --initrd "$initrd" --shim "$shim" --memory "$memory" \
    --append "$guest_options bench.address=10.99.1.2" --shim-append "${shim_options##* }" --name "bench-$$" \
    --net tap,ifname=bench-dom1 --net user,hostfwd=tcp:127.0.0.1:5301-:5201 \
    </dev/null >"$scratch/dom1" 2>"$scratch/dom1.stderr" &
  pids+=($!)
}

start_qemu() {
  qemu-system-x86_64 -nodefaults -no-user-config -vga none -display none -M "$machine" -cpu host \
    -accel "kvm,xen-version=0x40011,kernel-irqchip=split" -m "$memory" -smp 1 \
    -chardev stdio,id=console,signal=off -device xen-console,chardev=console \
    -netdev tap,id=tap,ifname=bench-qemu,script=no,downscript=no -device xen-net-device,netdev=tap,idx=0 \
    -netdev user,id=user,hostfwd=tcp:127.0.0.1:5302-:5201 -device xen-net-device,netdev=user,idx=1 \
    -kernel "$shim" -append "$shim_options" -initrd "$kernel $guest_options bench.address=10.99.2.2,$initrd" \
    </dev/null >"$scratch/qemu" 2>"$scratch/qemu.stderr" &
  pids+=($!)
}

# wait_until TEXT COMMAND...
wait_until() {
  local what=$1 steps=0
  shift
  until "$@" >/dev/null 2>&1; do
    ((++steps < 1200)) || die "$what: $(tail -n 3 "$scratch"/*.stderr | tr '\n' ' ') $(tail -n 3 "$scratch/dom1" "$scratch/qemu")"
    sleep 0.2
  done
}

# processes VMM: dom1's launcher, machine and passt; QEMU is one.
processes() {
  local pid=${pids[1]}
  if [[ $1 == dom1 ]]; then
    pid=${pids[0]}
    printf '%s\n' "$(<"/proc/$pid/task/$pid/children")"
    for pid in /proc/[0-9]*; do
      [[ $(cat "$pid/comm" 2>/dev/null) != passt* ]] || printf '%s\n' "${pid#/proc/}"
    done
    pid=${pids[0]}
  fi
  printf '%s\n' "$pid"
}

# cpu VMM: nanoseconds on a CPU so far, and those of them in the guest.
cpu() {
  local pid thread run rest fields total=0 guest=0
  for pid in $(processes "$1"); do
    for thread in "/proc/$pid/task"/*; do
      read -r run rest <"$thread/schedstat"
      fields=$(<"$thread/stat")
      read -r -a fields <<<"${fields##*) }"
      total=$((total + run))
      # Field 43 of stat(5), in hundredths of a second; the name and the pid before it are cut off.
      guest=$((guest + fields[40] * 10000000))
    done
  done
  printf '%s %s\n' "$total" "$guest"
}

# measure VMM NET DIRECTION NUMBER ADDRESS PORT
measure() {
  local name=$1.$2.$3.$4 reverse=() before after bytes
  [[ $3 == down ]] || reverse=(-R)
  read -r -a before < <(cpu "$1")
  iperf3 -c "$5" -p "$6" -t "$transfer_s" -J "${reverse[@]}" >"$scratch/iperf3" || die "$name: $(cat "$scratch/iperf3")"
  read -r -a after < <(cpu "$1")
  bytes=$(sed -n '/"sum_received"/,/}/s/.*"bytes":[[:space:]]*\([0-9]*\).*/\1/p' "$scratch/iperf3" | head -n 1)
  [[ $bytes ]] || die "$name: iperf3 says nothing of bytes: $(tr -d '\n\t' <"$scratch/iperf3" | tail -c 500)"
  printf '%s %s\n' bytes "$bytes" cpu_ns "$((after[0] - before[0]))" guest_ns "$((after[1] - before[1]))" >"$out/$name"
  printf 'bench: %-20s %5d MiB, %5d ms of CPU, %5d ms of them in the guest\n' "$name" "$((bytes >> 20))" \
    "$(((after[0] - before[0]) / 1000000))" "$(((after[1] - before[1]) / 1000000))" >&2
}

describe_host() {
  printf 'kernel %s\n' "$(uname -r)"
  printf 'cpus %s\n' "$(nproc)"
  printf 'cpu %s\n' "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
  printf 'qemu %s\n' "$(qemu-system-x86_64 --version | sed -n '1s/^QEMU emulator version //p')"
  printf 'guest_memory %s\n' "$memory"
  printf 'machine %s\n' "$machine"
  printf 'seconds %s\n' "$transfer_s"
}

trap cleanup EXIT
make_uplink
start_dom1
start_qemu
wait_until "dom1 made no tap" test -e /sys/class/net/bench-dom1
wait_until "QEMU made no tap" test -e /sys/class/net/bench-qemu
ip address add 10.99.1.1/24 dev bench-dom1
ip address add 10.99.2.1/24 dev bench-qemu
ip link set bench-dom1 up
ip link set bench-qemu up
wait_until "the guest of dom1 does not come up" grep -q "bench: ready" "$scratch/dom1"
wait_until "the guest of QEMU does not come up" grep -q "bench: ready" "$scratch/qemu"
for ((i = 1; i <= runs; i++)); do
  for direction in down up; do
    measure dom1 tap "$direction" "$i" 10.99.1.2 5201
    measure qemu tap "$direction" "$i" 10.99.2.2 5201
    measure dom1 user "$direction" "$i" 127.0.0.1 5301
    measure qemu user "$direction" "$i" 127.0.0.1 5302
  done
done
describe_host >"$out/host"
