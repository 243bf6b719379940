#!/usr/bin/env bash
# Memory: above 4 GiB by both entries, and the smallest that boots Linux.
# variants: high-multiboot high-pvh small
# long: high-multiboot
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "total $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) sum $((nonce + 3))"
# All of it can be used: half of what is free is written and read.
free=$(sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
mount -t tmpfs -o size=90% tmpfs /mnt
dd if=/dev/zero of=/mnt/file bs=64k count=$((free / 128)) 2>/dev/null
echo "bytes $([ "$(wc -c </mnt/file)" = $((free / 128 * 65536)) ] && echo "as written")"
GUEST

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
esac
expect_status 0
total_kib=$(lines "$run/console" | sed -n "s/^total \([0-9]*\) sum $((nonce + 3))$/\1/p")
[[ $total_kib ]] || fail "the guest told no total"
((total_kib >= least_kib && total_kib <= most_kib)) || fail "the guest has $total_kib KiB"
expect "$run/console" "bytes as written"
