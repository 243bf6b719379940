#!/usr/bin/env bash
# A guest starts another kernel in its own place: kexec, and the crash kernel of one that panics on its second vCPU. The
# second kernel has console, xenstore and vCPUs as the first had them. disk: the same while the first one reads and writes
# disks and sends packets; the second finds what was written, and goes on with the disk.
# variants: now-old now-new crash-old crash-new disk-old
# long: now-old now-new crash-old crash-new disk-old
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
[ "$how" != disk ] || load=crash
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
taskset -c 1 sh -c 'echo c >/proc/sysrq-trigger'
GUEST
} >"$scratch/script"
add "$scratch/script" "$scratch/initrd" "$scratch/first"

next_run
status=0
command=(dom1 run --type pvh --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --vcpus 2 --memory 1G
  --append "console=hvc0 quiet dom1.nonce=$nonce crashkernel=256M" --name "kexec-$$" --report "$run/report.json"
  --timeout $((DOM1_BOOT_LIMIT_S - 10)) "${disks[@]}")
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
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
