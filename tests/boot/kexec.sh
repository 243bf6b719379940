#!/usr/bin/env bash
# A guest starts another kernel in its own place: kexec, and the crash kernel of one that panics on its second vCPU. The
# second kernel has console, xenstore and vCPUs as the first had them. disk: the same while the first one reads and writes
# disks and sends packets; the second finds what was written, and goes on with the disk. vhost: while it reads a disk that another
# process is, and sees memory of that process; the second one has the disk, and sees nothing.
# variants: now-old now-new crash-old crash-new disk-old vhost-old
# long: now-old now-new crash-old crash-new disk-old vhost-old
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r how kernel <<<"$1"
# add SCRIPT OUT [FOLDER]: the small guest, which runs SCRIPT, and has what is in FOLDER.
add() {
  local tree=${3:-$scratch/tree-$RANDOM}
  mkdir -p "$tree"
  cp "$1" "$tree/test"
  {
    cat "$DOM1_GUEST"
    (cd "$tree" && find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet | gzip -1)
  } >"$2"
}

cat >"$scratch/second" <<'GUEST'
echo "second kernel $((nonce * 3))"
echo "cpus $(nproc)"
xenstore write data/mark "second $((nonce * 5))"
echo "name $(xenstore read name)"
echo "wrote $(xenstore read data/before 2>&1)"
GUEST
disks=()
if [[ $how == disk ]]; then
  cat >>"$scratch/second" <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ] && [ -b /dev/xvdb ]; do sleep 0.1; done
echo "written $(sha256sum </dev/xvda | cut -d ' ' -f 1)"
echo "read $(sha256sum </dev/xvdb | cut -d ' ' -f 1)"
dd if=/dev/xvdb of=/dev/xvda bs=256k count=2 oflag=direct conv=fsync 2>/dev/null
echo "second writes $?"
GUEST
  head -c 4M /dev/urandom >"$scratch/pattern"
  head -c 4M /dev/urandom >"$scratch/source"
  truncate -s 4M "$scratch/target"
  disks=(--disk "$scratch/target" --disk "$scratch/source,ro" --net "socket:$scratch/net")
  mkdir -p "$scratch/first" "$scratch/tree-second"
  cp "$guests/modules-$kernel"/xen-{blk,net}front.ko "$scratch/pattern" "$scratch/first/"
  cp "$guests/modules-$kernel/xen-blkfront.ko" "$scratch/tree-second/"
fi
if [[ $how == vhost ]]; then
  cat >>"$scratch/second" <<'GUEST'
while read -r name; do
  insmod "/modules/$name"
done </modules/order
until [ -b /dev/vda ]; do sleep 0.1; done
dd if=/dev/vda of=/copy bs=64k iflag=direct 2>/dev/null
window /copy sum 0 0x100000 | sed 's/^/disk /'
window /sys/bus/pci/devices/0000:00:09.0/resource2 read 0x100000 | sed 's/^/second /'
GUEST
  add_modules "$kernel" virtio_pci virtio_blk
  mkdir -p "$scratch/first" "$scratch/tree-second"
  cp -a "$scratch/modules/." "$scratch/first/"
  cp -a "$scratch/modules/." "$scratch/tree-second/"
  truncate -s 1M "$scratch/shown"
  printf '\1\2\3\4' | dd of="$scratch/shown" conv=notrunc status=none
  disks=(--memory-backing memfd --vhost-user "$scratch/vhost,type=block")
  mkfifo "$scratch/commands"
  exec {commands}<>"$scratch/commands"
  "$tools/vhost-back-end" "$scratch/vhost" 2048 <"$scratch/commands" >"$out/back-end" 2>&1 &
  back_end=$!
  pid=$back_end wait_for "$out/back-end" '^listening'
fi
mkdir -p "$scratch/first/boot"
cp -L "$guests/vmlinuz-$kernel" "$scratch/first/boot/vmlinuz"
add "$scratch/second" "$scratch/first/boot/initrd" "$scratch/tree-second"
{
  echo "how=$how"
  cat <<'GUEST'
echo "first kernel $((nonce + 1))"
xenstore write data/before "$nonce"
words="console=hvc0 quiet dom1.nonce=$nonce"
load=$how
case $how in
  disk | vhost) load=crash ;;
esac
[ "$how" = now ] || words="$words nr_cpus=1 reset_devices"
kexec "$load" /boot/vmlinuz /boot/initrd "$words"
echo "kexec $?"
[ "$how" != now ] || exit
if [ "$how" = disk ]; then
  insmod /xen-blkfront.ko
  insmod /xen-netfront.ko
  until [ -b /dev/xvda ] && [ -b /dev/xvdb ] && ip link set eth0 up; do sleep 0.1; done
  ip addr add 192.0.2.1/24 dev eth0
  dd if=/pattern of=/dev/xvda bs=512k oflag=direct 2>/dev/null
  # Always in flight: the same bytes, whichever requests are lost.
  while :; do dd if=/pattern of=/dev/xvda bs=512k oflag=direct 2>/dev/null; done &
  while :; do dd if=/dev/xvdb of=/dev/null bs=64k iflag=direct 2>/dev/null; done &
  arping -q -c 1000 -I eth0 192.0.2.2 &
  sleep 2
  echo "requests $(awk '{ print $1 + $5 }' /sys/block/xvda/stat)"
fi
if [ "$how" = vhost ]; then
  while read -r name; do
    insmod "/modules/$name"
  done </modules/order
  until [ -b /dev/vda ]; do sleep 0.1; done
  echo "uses the disk"
  while :; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null; done &
  until window /sys/bus/pci/devices/0000:00:09.0/resource2 read 0x100000 | grep 0x4030201; do sleep 0.2; done
fi
taskset -c 1 sh -c 'echo c >/proc/sysrq-trigger'
GUEST
} >"$scratch/script"
add "$scratch/script" "$scratch/initrd" "$scratch/first"

next_run
command=(dom1 run --type pvh --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --vcpus 2 --memory 1G
  --append "console=hvc0 quiet dom1.nonce=$nonce crashkernel=256M" --name "kexec-$$" --report "$run/report.json"
  --timeout $((DOM1_BOOT_LIMIT_S - 10)) "${disks[@]}")
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
pid=$!
if [[ $how == vhost ]]; then
  wait_for "$run/console" '^uses the disk'
  printf '%s\n' "map 0x100000 0x10000 $scratch/shown 0 rw" >&"$commands"
fi
finish
expect_status 0
expect "$run/console" "first kernel $((nonce + 1))"
expect "$run/console" "second kernel $((nonce * 3))"
if [[ $how == now ]]; then
  expect "$run/console" "cpus 2"
else
  expect "$run/console" "cpus 1"
fi
expect "$run/console" "name kexec-$$"
# The xenstore is as at the start: nothing of what the first kernel wrote.
expect "$run/console" "wrote .+"
refuse "$run/console" "wrote $nonce"
facts
expect "$run/facts" "phase mark second $((nonce * 5))"
expect "$run/facts" "restarts 0"
if [[ $how == disk ]]; then
  expect "$run/console" "requests [1-9][0-9]+"
  expect "$run/console" "written $(sha256sum <"$scratch/pattern" | cut -d ' ' -f 1)"
  expect "$run/console" "read $(sha256sum <"$scratch/source" | cut -d ' ' -f 1)"
  expect "$run/console" "second writes 0"
  # What the host finds: the second kernel's 512 KiB, then the first's.
  cmp -n 524288 "$scratch/source" "$scratch/target" || fail "what the second kernel wrote is not in the file"
  cmp -i 524288 "$scratch/pattern" "$scratch/target" || fail "what the first kernel wrote is not in the file"
fi
if [[ $how == vhost ]]; then
  expect "$run/console" 'read 0x100000: 0x4030201'
  expect "$run/console" 'disk sum 0x0: 0x1ffff0000'
  expect "$run/console" 'second read 0x100000: 0x0'
  wait "$back_end" || fail "the back end: status $?"
fi
