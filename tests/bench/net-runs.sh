#!/usr/bin/env bash
# The runs of scripts/bench net, in turn: in the lab, or as root on a host that can do it.
# usage: net-runs.sh OUT KERNEL INITRD SHIM FLOOR RUNS
#
# One guest of each VMM, both with a tap and with user networking, up at the same time and idle but for the one that is
# measured: TCP by iperf3, which serves in the guest. Leaves in OUT, of each run, VMM.NET.DIRECTION.NUMBER: a line
# "bytes N", and "cpu_ns N", "guest_ns N" and "passt_ns N", the CPU time of the VMM with its helpers, and of it the guest's and
# passt's; and floor.tap.NUMBER and floor.relay.NUMBER, what FLOOR says (tests/bench/net-floor.c).
set -euo pipefail

out=$1
kernel=$2
initrd=$3
shim=$4
floor=$5
runs=$6

memory=320M
transfer_s=2
guest_options="console=hvc0 quiet"
scratch=$(mktemp -d)
# shellcheck source=tests/bench/lib.sh
source "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2317  # by trap
cleanup() {
  stop_all
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

# What passt has taken so far, ns: of what dom1 takes it is no part of dom1.
passt_cpu() {
  local name run rest total=0 pid
  for pid in /proc/[0-9]*; do
    { read -r name <"$pid/comm" && read -r run rest <"$pid/schedstat"; } 2>/dev/null || continue
    [[ $name != passt* ]] || total=$((total + run))
  done
  printf '%s\n' "$total"
}

# measure VMM NET DIRECTION NUMBER ADDRESS PORT
measure() {
  local name=$1.$2.$3.$4 reverse=() before after bytes passt
  [[ $3 == down ]] || reverse=(-R)
  passt=$(passt_cpu)
  read -r -a before < <(cpu "$1")
  iperf3 -c "$5" -p "$6" -t "$transfer_s" -J "${reverse[@]}" >"$scratch/iperf3" || die "$name: $(cat "$scratch/iperf3")"
  read -r -a after < <(cpu "$1")
  passt=$(($(passt_cpu) - passt))
  bytes=$(sed -n '/"sum_received"/,/}/s/.*"bytes":[[:space:]]*\([0-9]*\).*/\1/p' "$scratch/iperf3" | head -n 1)
  [[ $bytes ]] || die "$name: iperf3 says nothing of bytes: $(tr -d '\n\t' <"$scratch/iperf3" | tail -c 500)"
  printf '%s %s\n' bytes "$bytes" cpu_ns "$((after[0] - before[0]))" guest_ns "$((after[1] - before[1]))" \
    passt_ns "$passt" >"$out/$name"
  printf 'bench: %-20s %5d MiB, %5d ms of CPU, %5d ms of them in the guest\n' "$name" "$((bytes >> 20))" \
    "$(((after[0] - before[0]) / 1000000))" "$(((after[1] - before[1]) / 1000000))" >&2
}

trap cleanup EXIT
make_uplink
start_dom1 dom1 --kernel "$kernel" --initrd "$initrd" --shim "$shim" --memory "$memory" \
  --append "$guest_options bench.address=10.99.1.2" \
  --net tap,ifname=bench-dom1 --net user,hostfwd=tcp:127.0.0.1:5301-:5201 </dev/null
start_qemu qemu "$memory" "$shim" "$kernel" "$guest_options bench.address=10.99.2.2" "$initrd" \
  -netdev tap,id=tap,ifname=bench-qemu,script=no,downscript=no -device xen-net-device,netdev=tap,idx=0 \
  -netdev user,id=user,hostfwd=tcp:127.0.0.1:5302-:5201 -device xen-net-device,netdev=user,idx=1 </dev/null
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
stop_all
for ((i = 1; i <= runs; i++)); do
  "$floor" tap bench-floor 64 >"$out/floor.tap.$i"
  "$floor" relay 64 >"$out/floor.relay.$i"
done
describe_host guest_memory "$memory" seconds "$transfer_s" >"$out/host"
