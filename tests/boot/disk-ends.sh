#!/usr/bin/env bash
# How use of a disk ends: a host without io_uring, one without room, a medium that is ejected, a reboot with requests in flight.
# long: yes
# variants: no-uring full eject reboot
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

sum() { sha256sum | cut -d ' ' -f 1; }

# What the guest writes and reads comes through system calls of the I/O thread.
no_uring() {
  local machine
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
dd if=/dev/xvda of=/dev/xvda bs=64k count=8 seek=8 oflag=direct conv=fsync 2>/dev/null
echo "sum $(sha256sum </dev/xvda | cut -d ' ' -f 1)"
blkdiscard -o 0 -l 65536 /dev/xvda && echo "discarded"
read -r word </dev/hvc0
GUEST
  add_module old xen-blkfront
  head -c 1M /dev/urandom >"$scratch/disk"
  cp "$scratch/disk" "$scratch/expected"
  dd if="$scratch/disk" of="$scratch/expected" bs=64k count=8 seek=8 conv=notrunc status=none
  sysctl -qw kernel.io_uring_disabled=2
  trap 'sysctl -qw kernel.io_uring_disabled=0' EXIT
  open_keys
  start --disk "$scratch/disk" <"$scratch/keys"
  wait_for "$run/console" "^sum $(sum <"$scratch/expected")"
  wait_for "$run/console" "^discarded"
  machine=$(machine_of "$pid")
  ! find "/proc/$machine/fd" -lname '*io_uring*' | grep -q . || fail "there is an io_uring"
  type_line end
  finish
  expect_status 0
  dd if=/dev/zero of="$scratch/expected" bs=64k count=1 conv=notrunc status=none
  cmp "$scratch/expected" "$scratch/disk" || fail "what the guest wrote is not in the file"
}

# on-error=report: the guest has an error, and what was there before is whole; stop: status 5.
full() {
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
dd if=/dev/urandom of=/tail bs=64k count=1 2>/dev/null
dd if=/dev/xvda of=/head bs=64k count=1 iflag=direct 2>/dev/null
if dd if=/dev/zero of=/dev/xvda bs=64k seek=1 count=31 oflag=direct conv=notrunc 2>/dev/null; then echo "write good"; else echo "write bad"; fi
dd if=/dev/xvda bs=64k count=1 iflag=direct 2>/dev/null | cmp - /head && echo "head whole"
GUEST
  add_module old xen-blkfront
  mkdir "$scratch/small"
  mount -t tmpfs -o size=512K small "$scratch/small"
  trap 'umount "$scratch/small"' EXIT
  truncate -s 2M "$scratch/small/disk"
  head -c 64K /dev/urandom | dd of="$scratch/small/disk" conv=notrunc status=none
  boot --disk "$scratch/small/disk" </dev/null
  expect_status 0
  expect "$run/console" "write bad"
  expect "$run/console" "head whole"
  grep -q "disk xvda: .* could not be written: No space left on device" "$run/stderr" || fail "standard error does not say why"
  boot --disk "$scratch/small/disk,on-error=stop" </dev/null
  expect_status 5
  grep -q "disk xvda: .*No space left on device.*(on-error=stop)" "$run/stderr" || fail "standard error does not say why it ended"
}

# From then on all reads fail, and the image is anybody's. A disk that is written stays.
eject() {
  local name=test-$$-1
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ] && [ -b /dev/xvdb ]; do sleep 0.1; done
echo "ready $((nonce + 1))"
while read -r word skip; do
  # A disk that Linux has closed has no size any more: its end, and no error.
  dd if=/dev/xvda of=/read bs=64k count=1 skip="$skip" iflag=direct 2>/dev/null
  if [ "$(wc -c </read)" = 65536 ]; then echo "$word good"; else echo "$word bad"; fi
  : >/read
done </dev/hvc0
GUEST
  add_module old xen-blkfront
  truncate -s 1M "$scratch/disk" "$scratch/other"
  open_keys
  start --disk "$scratch/disk,ro" --disk "$scratch/other" <"$scratch/keys"
  wait_for "$run/console" "^ready $((nonce + 1))"
  type_line "before 1"
  wait_for "$run/console" "^before good"
  ! dom1 disk eject "$name" xvdb 2>"$run/refused" || fail "a disk that is written was ejected"
  ! dom1 disk attach "$name" "$scratch/disk,vdev=xvdc" 2>"$run/refused" || fail "an image in use is attached for writing"
  dom1 disk eject "$name" xvda || fail "disk eject failed"
  type_line "after 1"
  wait_for "$run/console" "^after bad"
  # So whoever wants to may write it.
  dom1 disk attach "$name" "$scratch/disk,vdev=xvdc" >"$run/attached" || fail "the image is still locked"
  dom1 destroy "$name"
  finish
  expect_status 143
}

# Always the same bytes at the same place: a request of the first guest that came later would not show. So the second one
# writes something else, waits, and looks; its own memory is whole, as its kernel runs.
reboot() {
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ] && [ -b /dev/xvdb ]; do sleep 0.1; done
if [ "$(head -c 5 /dev/xvdb)" = first ]; then
  dd if=/dev/zero of=/dev/xvda bs=512k oflag=direct 2>/dev/null
  sleep 1
  echo "second $(sha256sum </dev/xvda | cut -d ' ' -f 1)"
  poweroff -f
fi
echo first | dd of=/dev/xvdb conv=fsync 2>/dev/null
yes first | dd of=/pattern bs=512k count=8 iflag=fullblock 2>/dev/null
for i in 1 2 3; do
  while :; do dd if=/pattern of=/dev/xvda bs=512k oflag=direct 2>/dev/null; done &
  while :; do dd if=/dev/xvda of=/dev/null bs=64k iflag=direct 2>/dev/null; done &
done
sleep 2
echo "in flight $(awk '{ print $9 }' /sys/block/xvda/stat)"
reboot -f
GUEST
  add_module old xen-blkfront
  truncate -s 4M "$scratch/disk" "$scratch/flag"
  # The host does what is in memory at once: each request waits, so that there are some.
  boot --disk "$scratch/disk" --disk "$scratch/flag" --vcpus 2 --inject "disk:vdev=xvda,delay=20ms" </dev/null
  expect_status 0
  expect "$run/console" "in flight [1-9][0-9]*"
  expect "$run/console" "second $(head -c 4M /dev/zero | sum)"
  [[ $(sum <"$scratch/disk") == "$(head -c 4M /dev/zero | sum)" ]] || fail "something of the first guest came after the second's"
  facts
  expect "$run/facts" "restarts 1"
}

"${1//-/_}"
