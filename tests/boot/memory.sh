#!/usr/bin/env bash
# Memory: above 4 GiB by both entries, the smallest that boots Linux, and what RAM is made of.
# variants: high-multiboot high-pvh small memfd-pvh-1 memfd-pv-1 memfd-pv-2 guest_memfd-pvh-1 guest_memfd-pv-1 guest_memfd-pv-2 anonymous-pv-2
# long: high-multiboot memfd-pvh-1 memfd-pv-1 memfd-pv-2 guest_memfd-pvh-1 guest_memfd-pv-1 guest_memfd-pv-2 anonymous-pv-2 high-pvh
# limit: 200
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "total $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) sum $((nonce + 3))"
case $(cat /proc/cmdline) in
  *dom1.wait*) read -r answer ;;
esac
# All of it can be used: half of what is free is written and read.
free=$(sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
mount -t tmpfs -o size=90% tmpfs /mnt
dd if=/dev/zero of=/mnt/file bs=64k count=$((free / 128)) 2>/dev/null
echo "bytes $([ "$(wc -c </mnt/file)" = $((free / 128 * 65536)) ] && echo "as written")"
GUEST

# boot_on BACKING TYPE VCPUS: the machine has its RAM from there, and says so.
boot_on() {
  local maps machine
  type=$2
  # The unit tests need a KVM for this one: those that are not long on emulated hardware.
  if [[ $1 == guest_memfd && $2 == pvh ]]; then
    "$tools/../unit/test-vmm-guest_memory" -p /guest_memory/guest_memfd/file -p /guest_memory/guest_memfd/deferred >"$out/unit" ||
      fail "the unit tests on guest_memfd"
    expect "$out/unit" "ok [0-9]+ /guest_memory/guest_memfd/file"
  fi
  open_keys
  start --memory 256M --vcpus "$3" --memory-backing "$1" --append "console=hvc0 quiet dom1.nonce=$nonce dom1.wait" \
    <"$scratch/keys"
  wait_for "$run/console" "^total [0-9]+ sum $((nonce + 3))"
  machine=$(machine_of "$pid")
  # All of a line: "(deleted)" follows the name.
  maps=$(awk '$2 ~ /^rw/' "/proc/$machine/maps")
  case $1 in
    memfd) grep -q 'memfd:dom1-guest-memory' <<<"$maps" || fail "the machine has no memfd mapped" ;;
    guest_memfd) grep -qE 'gmem|guest_memfd' <<<"$maps" || fail "the machine has no guest_memfd mapped: $maps" ;;
    *) ! grep -qE 'gmem|guest.mem' <<<"$maps" || fail "the machine has a file mapped" ;;
  esac
  type_line go
  finish
  expect "$run/report.json" " *\"backing\" *: *\"$1\",?"
  # No kernel offers it yet: whoever meets one that does, changes this line.
  expect "$run/report.json" ' *"direct_map_removed" *: *false,?'
}

case $1 in
  high-*)
    boot --low-memory 256M --memory 768M --shim-entry "${1#high-}"
    # The shim and the kernel keep some of it.
    least_kib=$((640 * 1024))
    most_kib=$((768 * 1024))
    expect "$run/shim.log" '\(XEN\)  \[0000000100000000, [0-9a-f]*\] \(usable\)'
    ;;
  small)
    boot --memory 208M
    least_kib=$((128 * 1024))
    most_kib=$((208 * 1024))
    ;;
  *)
    IFS=- read -r backing kind vcpus <<<"$1"
    boot_on "$backing" "$kind" "$vcpus"
    least_kib=$((160 * 1024))
    most_kib=$((256 * 1024))
    ;;
esac
expect_status 0
total_kib=$(lines "$run/console" | sed -n "s/^total \([0-9]*\) sum $((nonce + 3))$/\1/p")
[[ $total_kib ]] || fail "the guest told no total"
((total_kib >= least_kib && total_kib <= most_kib)) || fail "the guest has $total_kib KiB"
expect "$run/console" "bytes as written"
