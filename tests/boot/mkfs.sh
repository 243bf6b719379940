#!/usr/bin/env bash
# ext4, xfs and btrfs on disks: the guest makes them, fills them, deletes and trims, and finds them clean; after a reboot it
# finds what it wrote. The host finds them clean, and the same files in them.
# variants: pvh-old pvh-new pv-old pv-new
# long: pvh-old pvh-new pv-old pv-new
# limit: 1200
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r type kernel <<<"$1"
systems=(ext4 xfs btrfs)
guest_script <<'GUEST'
while read -r module; do
  # As modprobe does, which looks into the kernel's command line.
  # shellcheck disable=SC2046
  insmod "/modules/$module" $([ "$module" != xen-blkfront.ko ] || tr ' ' '\n' </proc/cmdline | sed -n 's/^xen_blkfront\.//p')
done </modules/order
until [ -b /dev/xvda ] && [ -b /dev/xvdb ] && [ -b /dev/xvdc ]; do sleep 0.1; done
make_ext4() { /tools/mke2fs -q -t ext4 "$1"; }
make_xfs() { /tools/mkfs.xfs -q "$1"; }
make_btrfs() { /tools/mkfs.btrfs -q "$1"; }
check_ext4() { /tools/e2fsck -fn "$1"; }
check_xfs() { /tools/xfs_repair -n "$1"; }
check_btrfs() { /tools/btrfs check "$1"; }
sums() { (cd /mnt && find . -type f -exec sha256sum {} + | sort | sha256sum | cut -d ' ' -f 1); }

# use SYSTEM DEVICE
use() {
  if mount -t "$1" -o ro "$2" /mnt 2>/dev/null; then
    echo "$1 again $(sums) of $nonce"
    umount /mnt
    again=1
    return
  fi
  "make_$1" "$2" || return
  mount -t "$1" -o discard "$2" /mnt || return
  # Many small files in many folders, a large one, one with holes, one that grows while others do.
  for i in 0 1 2 3 4 5 6 7 8 9; do
    mkdir -p "/mnt/folder $i/deep"
    for j in 0 1 2 3 4 5 6 7 8 9; do
      echo "$nonce $i $j" >"/mnt/folder $i/deep/$j"
    done
    dd if=/dev/urandom of=/mnt/grows bs=3000 count=20 seek=$((20 * i)) conv=notrunc 2>/dev/null
  done
  dd if=/dev/urandom of=/mnt/large bs=1M count=16 conv=fsync 2>/dev/null
  dd if=/dev/urandom of=/mnt/direct bs=64k count=32 oflag=direct 2>/dev/null
  dd if=/dev/urandom of=/mnt/holes bs=4k count=4 seek=1000 2>/dev/null
  dd if=/dev/urandom of=/mnt/away bs=1M count=8 conv=fsync 2>/dev/null
  rm -r /mnt/away "/mnt/folder 3"
  sync
  fstrim /mnt || return
  echo "$1 sums $(sums) of $nonce"
  umount /mnt
  if "check_$1" "$2" >/said 2>&1; then echo "$1 clean"; else cat /said; fi
}

again=
use ext4 /dev/xvda
use xfs /dev/xvdb
use btrfs /dev/xvdc
sync
for disk in xvda xvdb xvdc; do awk -v "disk=$disk" '{ print disk " discards " $12 " flushes " $16 }' "/sys/block/$disk/stat"; done
[ "$again" ] || reboot -f
GUEST
add_modules "$kernel" xen-blkfront xfs btrfs
for tool in mke2fs e2fsck mkfs.xfs xfs_repair mkfs.btrfs btrfs; do
  stage_program "$scratch/more" "$tool"
done
# By another name than /bin, where busybox has some of these names.
mv "$scratch/more/bin" "$scratch/more/tools"
mkdir "$scratch/more/etc"
: >"$scratch/more/etc/mtab"
add_to_initrd "$scratch/more"

disks=()
for system in "${systems[@]}"; do
  truncate -s 320M "$scratch/$system"
  disks+=(--disk "$scratch/$system")
done
boot --vcpus 2 "${disks[@]}"
expect_status 0
console=$run/console
facts
expect "$run/facts" "restarts 1"
for system in "${systems[@]}"; do
  expect "$console" "$system clean"
  sum=$(lines "$console" | sed -n "s/^$system sums \([0-9a-f]*\) of $nonce\$/\1/p")
  [[ $sum ]] || fail "the guest has not filled $system"
  expect "$console" "$system again $sum of $nonce"
done
(($(lines "$console" | grep -cE '^xvd. discards [1-9][0-9]* flushes ([2-9]|[1-9][0-9]+)$') >= 3)) || fail "not each disk had discards and flushes"
refuse "$console" "I/O error|WARNING|BUG|Call Trace|[Cc]orrupt"

# What the host finds.
e2fsck -fn "$scratch/ext4" >"$run/e2fsck" 2>&1 || fail "e2fsck finds faults in what the guest wrote"
xfs_repair -n -f "$scratch/xfs" >"$run/xfs_repair" 2>&1 || fail "xfs_repair finds faults in what the guest wrote"
btrfs check "$scratch/btrfs" >"$run/btrfs" 2>&1 || fail "btrfs check finds faults in what the guest wrote"
needed_modules new xfs btrfs | while read -r module; do
  insmod "$guests/modules-new/$module" 2>/dev/null || true
done
mkdir "$scratch/mnt"
for system in "${systems[@]}"; do
  mount -t "$system" -o loop,ro "$scratch/$system" "$scratch/mnt" || fail "the host cannot mount $system"
  sum=$(cd "$scratch/mnt" && find . -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum | cut -d ' ' -f 1)
  umount "$scratch/mnt"
  expect "$console" "$system sums $sum of $nonce"
done
# Those tools do find something.
dd if=/dev/urandom of="$scratch/ext4" bs=4k seek=1 count=8 conv=notrunc status=none
! e2fsck -fn "$scratch/ext4" >"$run/e2fsck" 2>&1 || fail "e2fsck finds nothing in an image that is damaged"
