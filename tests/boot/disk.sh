#!/usr/bin/env bash
# Guests read and write disks: a file system is made, filled, found again after a reboot, and clean for the host; what a
# guest writes is in the file, what it may not write is not; a disk that is written has one user.
# variants: pv-old pv-new pvh-old pvh-new locks refused
# long: pv-old pv-new pvh-new locks
# limit: 900
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "$0")/lib/refused.sh"

# add_to_guest KERNEL: the block driver of that kernel, and the tools of ext4 with their libraries.
add_to_guest() {
  local tree=$scratch/more tool file
  mkdir -p "$tree"/{lib64,sbin,etc}
  cp "$guests/modules-$1/xen-blkfront.ko" "$tree/"
  : >"$tree/etc/mtab"
  for tool in mke2fs e2fsck; do
    file=$(PATH=$PATH:/usr/sbin:/sbin type -P "$tool")
    cp -L "$file" "$tree/sbin/$tool"
    /lib64/ld-linux-x86-64.so.2 --list "$file" | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' |
      while read -r file; do
        mkdir -p "$tree${file%/*}"
        cp -L "$file" "$tree$file"
      done
  done
  (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >>"$scratch/initrd"
}

locks() {
  local first
  guest_script <<'GUEST'
echo "ready $((nonce + 1))"
read -r _
GUEST
  truncate -s 1M "$scratch/disk" "$scratch/shared"
  open_keys
  start --disk "$scratch/disk" --disk "$scratch/shared,ro" --name first-$$ <"$scratch/keys"
  first=$pid
  wait_for "$run/console" "^ready $((nonce + 1))"

  next_run
  status=0
  guest_options --name second-$$ --disk "$scratch/disk"
  "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 4
  expect_one_line "$run/stderr" "dom1: $scratch/disk: cannot use it as disk xvda: it is in use by domain first-$$ \(process $first\): .*"
  status=0
  guest_options --name second-$$ --disk "$scratch/shared"
  "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 4
  expect_one_line "$run/stderr" "dom1: $scratch/shared: .* in use by domain first-$$ .*give both ro or snapshot=on.*"

  # Two that only read share it.
  guest_script <<'GUEST'
echo done
GUEST
  boot --disk "$scratch/shared,ro"
  expect_status 0
  type_line enough
  pid=$first
  finish
  expect_status 0
  # The lock goes with the domain.
  boot --disk "$scratch/disk"
  expect_status 0
}

# plan OPTION...: of a run that does not start.
plan() {
  next_run
  guest_options --dry-run "$@"
  "${command[@]}" >"$run/plan" 2>"$run/stderr" || fail "--dry-run fails: $(head -n 1 "$run/stderr")"
}

refusals() {
  guest_shell
  cd "$scratch"
  truncate -s 1M raw
  printf 'QFI\373' | dd of=raw2 status=none
  truncate -s 1M raw2
  : >empty
  mkdir folder
  printf 'disk = [ "%s/raw,qcow2,xvda,serial=1" ]\n' "$scratch" >guest.cfg
  refused 4 "missing: cannot use it as disk xvda: No such file or directory: check .*" --disk missing
  refused 4 "empty: cannot use it as disk xvda: it has less than one sector: .*" --disk empty
  refused 4 "folder: cannot use it as disk xvda: .*" --disk folder,ro
  refused 4 "raw2: .* begins like a qcow2 image: say format=qcow2, .*" --disk raw2
  refused 4 "raw: .* in use by another disk of this domain: .*" --disk raw --disk raw
  refused 4 "raw: .* in use by another disk of this domain: .*" --disk raw,ro --disk raw
  refused 4 "raw: cannot use it as disk xvda: qemu-nbd says: .*" --disk raw,format=qcow2
  refused 2 "raw: not a URI of an NBD server: .*" --disk raw,format=nbd
  refused 2 "nbds://host: dom1 speaks NBD without TLS: .*" --disk nbds://host
  refused 4 "nbd\+unix:///\?socket=none: cannot connect: No such file or directory" --disk "nbd+unix:///?socket=none"
  refused 4 "raw2: .* begins like a qcow2 image: .*" --disk raw2,snapshot=on
  refused 2 "--disk: disk: raw: another disk has this vdev: .*" --disk raw,vdev=xvdb --disk raw2,vdev=d1
  refused 2 "--disk: disk: .*speed.*" --disk raw,speed=high
  # What Linux is told of its disks, and how to leave that out.
  plan --disk raw
  grep -q "xen_blkfront.max_indirect_segments=256 xen_blkfront.max_ring_page_order=2 " "$run/plan" || fail "blkfront's limits stay low"
  plan --disk raw --no-auto-append
  ! grep -q xen_blkfront "$run/plan" || fail "--no-auto-append appends"
  plan
  ! grep -q xen_blkfront "$run/plan" || fail "blkfront is told of disks that are not there"
  refused 4 "guest.cfg:1:[0-9]+: disk: .*/raw: a PV disk has no serial number .*" guest.cfg
  cd - >/dev/null
}

case $1 in
  locks | refused)
    if [[ $1 == locks ]]; then locks; else refusals; fi
    exit 0
    ;;
esac

IFS=- read -r type kernel <<<"$1"
guest_script <<'GUEST'
# As modprobe does, which looks into the kernel's command line.
# shellcheck disable=SC2046
insmod /xen-blkfront.ko $(tr ' ' '\n' </proc/cmdline | sed -n 's/^xen_blkfront\.//p')
steps=0
until [ -b /dev/xvda ] && [ -b /dev/xvdc ] && [ -b /dev/xvdd ] && [ -b /dev/xvde ] && [ -b /dev/xvdf ]; do
  steps=$((steps + 1))
  [ $steps -lt 100 ] || break
  sleep 0.1
done
sum() { sha256sum | cut -d ' ' -f 1; }

if mount -t ext4 -o ro /dev/xvda /mnt 2>/dev/null; then
  echo "again $(sum </mnt/data) $(cat /mnt/nonce)"
  echo "snapshot again $(sum </dev/xvde)"
  umount /mnt
  /sbin/e2fsck -fn /dev/xvda >/dev/null 2>&1 && echo "guest's fsck clean"
  poweroff -f
fi
for disk in xvda xvdc xvdd; do
  echo "$disk $(cat /sys/block/$disk/size) ro $(cat /sys/block/$disk/ro) cache $(cat /sys/block/$disk/queue/write_cache)"
done
echo "discard $([ "$(cat /sys/block/xvda/queue/discard_max_bytes)" -gt 0 ] && echo yes)"
echo "queues $(find /sys/block/xvda/mq -mindepth 1 -maxdepth 1 -type d | wc -l)"
echo "largest $(cat /sys/block/xvda/queue/max_segments)"
echo "read $(sum </dev/xvdc)"
if dd if=/dev/zero of=/dev/xvdc bs=4096 count=1 2>/dev/null; then echo "wrote to what is read-only"; fi
# By its path: busybox has one of that name, of ext2.
/sbin/mke2fs -q -t ext4 /dev/xvda && mount -t ext4 /dev/xvda /mnt && cp /dev/xvdc /mnt/data && echo "$nonce" >/mnt/nonce
umount /mnt || poweroff -f
# Past the page cache, in all sizes.
dd if=/dev/xvdc of=/dev/xvdd bs=512 count=64 oflag=direct conv=fsync 2>/dev/null
dd if=/dev/xvdc of=/dev/xvdd bs=256k skip=1 seek=1 count=3 oflag=direct conv=fsync 2>/dev/null
echo "copied $(dd if=/dev/xvdd bs=256k skip=1 iflag=direct 2>/dev/null | sum)"
blkdiscard -o 262144 -l 262144 /dev/xvdd && echo "discarded"
dd if=/dev/zero of=/dev/xvde bs=512 seek=3 count=1000 oflag=direct conv=notrunc 2>/dev/null
echo "snapshot $(dd if=/dev/xvde bs=64k iflag=direct 2>/dev/null | sum)"
echo "xvdf discards at most $(cat /sys/block/xvdf/queue/discard_max_bytes)"
for i in 1 2 3; do dd if=/dev/xvdc of=/dev/xvdf bs=4k count=1 seek=$i conv=fsync,notrunc 2>/dev/null; done
sync
# A Linux to which a flush was refused flushes no more, and says so only here.
for disk in xvda xvdd xvdf; do
  echo "$disk flushes $(awk '{ print ($16 > 1 ? "many" : "few") }' /sys/block/$disk/stat) cache $(cat /sys/block/$disk/queue/write_cache)"
done
reboot -f
GUEST
add_to_guest "$kernel"

truncate -s 16M "$scratch/root"
truncate -s 1M "$scratch/target" "$scratch/unsafe"
head -c 1M /dev/urandom >"$scratch/source"
sum=$(sha256sum <"$scratch/source" | cut -d ' ' -f 1)
tail=$(tail -c 768K "$scratch/source" | sha256sum | cut -d ' ' -f 1)

cp "$scratch/source" "$scratch/written"
dd if=/dev/zero of="$scratch/written" bs=512 seek=3 count=1000 conv=notrunc status=none
written=$(sha256sum <"$scratch/written" | cut -d ' ' -f 1)

boot --vcpus 2 --disk "$scratch/source,snapshot=on,vdev=xvde" \
  --disk "$scratch/root" --disk "$scratch/source,ro,vdev=xvdc" --disk "format=raw,vdev=xvdd,target=$scratch/target" \
  --disk "$scratch/unsafe,vdev=xvdf,cache=unsafe,discard=off"
expect_status 0
console=$run/console
expect "$console" "xvda 32768 ro 0 cache write back"
expect "$console" "xvdc 2048 ro 1 cache write through"
expect "$console" "xvdd 2048 ro 0 cache write back"
expect "$console" "discard yes"
expect "$console" "queues 2"
expect "$console" "largest 256"
expect "$console" "read $sum"
refuse "$console" "wrote to what is read-only"
expect "$console" "copied $tail"
expect "$console" "discarded"
expect "$console" "xvdf discards at most 0"
for disk in xvda xvdd xvdf; do
  expect "$console" "$disk flushes many cache write back"
done
expect "$console" "again $sum $nonce"
expect "$console" "guest's fsck clean"
expect "$console" "snapshot $written"
expect "$console" "snapshot again $written"

# What the host finds.
e2fsck -fn "$scratch/root" >"$run/e2fsck" 2>&1 || fail "e2fsck finds faults in what the guest wrote"
cmp -n 32768 "$scratch/source" "$scratch/target" || fail "small writes are not in the file"
cmp -n 262144 -i 262144:0 "$scratch/target" /dev/zero || fail "what was discarded is not zero"
cmp -i 524288 "$scratch/source" "$scratch/target" || fail "large writes are not in the file"
[[ $(sha256sum <"$scratch/source" | cut -d ' ' -f 1) == "$sum" ]] || fail "an image that is only read has changed"
facts
tr -d ' \n' <"$run/report.json" | grep -q '"phase":"device_connected",[^}]*"device/vbd/51712"' || fail "the report has no connected disk"
