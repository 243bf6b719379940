#!/usr/bin/env bash
# A virtio device that another process is (--vhost-user), in an unmodified Linux: a disk by a back end of ours, which is resized,
# shows the guest memory and takes it back, is stopped by resets, and dies; the same with qemu-storage-daemon, over a restart
# of the domain; and back ends that cannot be used.
# variants: refused ours-old ours-new storage
# long: refused ours-new storage
# limit: 600
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

socket=$scratch/vhost

# start_back_end [ARGUMENT...]: of ours, which does what is said to it.
start_back_end() {
  mkfifo "$scratch/commands"
  exec {commands}<>"$scratch/commands"
  "$tools/vhost-back-end" "$socket" 2048 "$@" <"$scratch/commands" >"$out/back-end" 2>&1 &
  back_end=$!
  pid=$back_end wait_for "$out/back-end" '^listening'
}

# say WORDS REGEX [TIMES]: to the back end, and what comes of it.
say() {
  printf '%s\n' "$1" >&"$commands"
  wait_lines "${3-1}" "$out/back-end" "$2"
}

# step NUMBER: the guest has come to it.
step() {
  wait_for "$run/console" "^step $1"
}

ours() {
  guest_script <<'GUEST'
while read -r name; do
  insmod "/modules/$name"
done </modules/order
d=/sys/bus/pci/devices/0000:00:09.0
until [ -b /dev/vda ]; do sleep 0.1; done
echo "device $(cat $d/vendor) $(cat $d/device) $(cat $d/class)"
echo "sectors $(cat /sys/class/block/vda/size)"
dd if=/dev/vda of=/copy bs=64k 2>/dev/null
window /copy read 0x4000 sum 0 0x100000 | sed 's/^/disk /'
window $d/resource2 read 0x100000 | sed 's/^/before /'
echo "step 1"
read -r line
window $d/resource2 read 0x100000 write 0x100008 $nonce read 0x110000 | sed 's/^/mapped /'
echo "step 2"
read -r line
window $d/resource2 read 0x100000 read 0x100008 | sed 's/^/unmapped /'
echo "step 3"
read -r line
window $d/resource2 read 0x100008 | sed 's/^/again /'
echo "resized $(cat /sys/class/block/vda/size)"
# The driver resets the device, and with that all mappings go.
name=$(ls /sys/bus/virtio/drivers/virtio_blk | grep virtio)
echo "$name" >/sys/bus/virtio/drivers/virtio_blk/unbind
window $d/resource2 read 0x100008 | sed 's/^/reset /'
echo "$name" >/sys/bus/virtio/drivers/virtio_blk/bind
until [ -b /dev/vda ]; do sleep 0.1; done
echo "step 4"
read -r line
dd if=/dev/vda of=/copy bs=64k count=4 2>/dev/null
window /copy sum 0 0x40000 | sed 's/^/disk again /'
window $d/resource2 read 0x100008 | sed 's/^/last /'
echo "step 5"
read -r line
window $d/resource2 read 0x100008 | sed 's/^/alone /'
GUEST
  add_modules "$1" virtio_pci virtio_blk
  truncate -s 1M "$scratch/shown"
  printf '\1\2\3\4' | dd of="$scratch/shown" bs=1 seek=65536 conv=notrunc status=none
  open_keys
  start_back_end
  type=pvh kernel=$1
  start --memory-backing memfd --vhost-user "$socket,type=block" <"$scratch/keys"
  step 1
  # What a back end may not do.
  say "map 0x100000 0x20000 $scratch/shown 0 rw" '^map: done'
  say "map 0x110000 0x1000 $scratch/shown 0 rw" '^map: File exists'
  say "unmap 0x100000 0x20000" '^unmap: done'
  say "unmap 0x100000 0x20000" '^unmap: Invalid argument'
  say "map 0x100800 0x1000 $scratch/shown 0 rw" '^map: Invalid argument'
  say "map 0x400000 0x1000 $scratch/shown 0 rw" '^map: Invalid argument' 2
  say "map 0x3ff000 0x2000 $scratch/shown 0 rw" '^map: Invalid argument' 3
  say "map -4096 0x2000 $scratch/shown 0 rw" '^map: Invalid argument' 4
  say "map 0 0x1000 /dev/null 0 rw" '^map: (Operation not supported|No such device)'
  say "map 0x100000 0x10000 $scratch/shown 0x10000 rw" '^map: done' 2
  say "unmap 0x100000 0x8000" '^unmap: Invalid argument' 2
  type_line go
  step 2
  say "unmap 0x100000 0x10000" '^unmap: done' 2
  type_line go
  step 3
  say "map 0x100000 0x10000 $scratch/shown 0x10000 ro" '^map: done' 3
  say "resize 4096" '^resize: done'
  type_line go
  step 4
  say "map 0x100000 0x10000 $scratch/shown 0x10000 rw" '^map: done' 4
  type_line go
  step 5
  say junk '^ended'
  type_line go
  finish
  expect_status 0
  wait "$back_end" || fail "the back end: status $?"
  expect "$run/console" 'device 0x1af4 0x1042 0x010000'
  expect "$run/console" 'sectors 2048'
  expect "$run/console" 'disk read 0x4000: 0x800'
  expect "$run/console" 'disk sum 0x0: 0x1ffff0000'
  expect "$run/console" 'before read 0x100000: 0x0'
  expect "$run/console" 'mapped read 0x100000: 0x4030201'
  expect "$run/console" 'mapped read 0x110000: 0x0'
  expect "$run/console" 'unmapped read 0x100000: 0x0'
  expect "$run/console" 'unmapped read 0x100008: 0x0'
  expect "$run/console" "again read 0x100008: $(printf '0x%x' "$nonce")"
  expect "$run/console" 'resized 4096'
  expect "$run/console" 'reset read 0x100008: 0x0'
  expect "$run/console" 'disk again sum 0x0: 0x1fffc000'
  expect "$run/console" "last read 0x100008: $(printf '0x%x' "$nonce")"
  expect "$run/console" 'alone read 0x100008: 0x0'
  [[ $(od -An -t u8 -j 65544 -N 8 "$scratch/shown" | tr -d ' ') == "$nonce" ]] || fail "what the guest wrote is not in the file"
  # Only what changes nothing but the rings is passed on; bit 21 of the protocol is nobody's here.
  expect "$out/back-end" 'features 0x140000000'
  expect "$out/back-end" 'protocol 0x400629'
  [[ $(grep -c '^started' "$out/back-end") == 2 ]] || fail "not started twice"
  expect "$out/back-end" stopped
}

# qemu-storage-daemon, which knows nothing of us.
storage() {
  guest_script <<'GUEST'
while read -r name; do
  insmod "/modules/$name"
done </modules/order
until [ -b /dev/vda ]; do sleep 0.1; done
echo "sectors $(cat /sys/class/block/vda/size)"
mount -t ext4 /dev/vda /mnt
cat /mnt/from-host
if ! [ -e /mnt/from-guest ]; then
  echo "from the guest $nonce" >/mnt/from-guest
  dd if=/dev/urandom of=/mnt/big bs=1M count=20 2>/dev/null
  sha256sum </mnt/big >/mnt/sum
  umount /mnt
  reboot -f
fi
[ "$(sha256sum </mnt/big)" = "$(cat /mnt/sum)" ] && echo "the same"
umount /mnt && echo "unmounted"
GUEST
  add_modules old virtio_pci virtio_blk
  mkdir "$scratch/files"
  echo "from the host $nonce" >"$scratch/files/from-host"
  truncate -s 64M "$scratch/disk"
  mke2fs -q -F -t ext4 -d "$scratch/files" "$scratch/disk"
  qemu-storage-daemon --blockdev "driver=file,node-name=disk,filename=$scratch/disk" \
    --export "type=vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=$socket,writable=on,num-queues=2" \
    >"$out/back-end" 2>&1 &
  back_end=$!
  local steps=0
  until [[ -S $socket ]]; do
    if ((++steps > 300)) || ! kill -0 "$back_end"; then
      fail "qemu-storage-daemon: $(cat "$out/back-end")"
    fi
    sleep 0.1
  done
  type=pvh kernel=old
  boot --memory-backing memfd --vcpus 2 --on-reboot restart --vhost-user "$socket,type=block,queues=2" </dev/null
  expect_status 0
  expect "$run/console" 'sectors 131072'
  expect "$run/console" "from the host $nonce"
  expect "$run/console" 'the same'
  expect "$run/console" 'unmounted'
  kill "$back_end"
  wait "$back_end" || true
  e2fsck -f -n "$scratch/disk" >"$run/fsck" 2>&1 || fail "the file system is not clean: $(tail -n 3 "$run/fsck")"
  debugfs -R 'cat /from-guest' "$scratch/disk" >"$run/from-guest" 2>/dev/null
  expect "$run/from-guest" "from the guest $nonce"
}

# refused REGEX OPTION...
refused() {
  guest_shell
  type=pvh
  boot "${@:2}" </dev/null
  expect_status 2
  expect_one_line "$run/stderr" "dom1: $1"
}

case $1 in
  ours-*) ours "${1#*-}" ;;
  storage) storage ;;
  refused)
    memory=(--memory-backing memfd)
    refused '--vhost-user: the back end must get .*' --vhost-user "$socket,type=rng"
    refused '--vhost-user=.*: cannot connect: No such file or directory: does the back end run[?]' "${memory[@]}" --vhost-user "$socket,type=rng"
    refused '--vhost-user=.*: type: must be net, block, .*' "${memory[@]}" --vhost-user "$socket,type=disk"
    refused '--vhost-user=.*: must be SOCKET,type=WORD.*' "${memory[@]}" --vhost-user "$socket"
    start_back_end
    refused '--vhost-user=.*: the back end has fewer queues: say queues=' "${memory[@]}" --vhost-user "$socket,type=net"
    wait "$back_end" || fail "the back end: status $?"
    rm "$socket" "$scratch/commands"
    start_back_end mute
    refused '--vhost-user=.*: the back end does not answer: is it one of vhost-user[?]' "${memory[@]}" --vhost-user "$socket,type=rng"
    kill "$back_end"
    type=pv
    next_run
    status=0
    dom1 run --kernel "$guests/vmlinuz-old" --vhost-user "$socket,type=rng" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
    expect_status 2
    expect_one_line "$run/stderr" 'dom1: --vhost-user: the shim shows a PV guest no PCI device: use it with --type=pvh'
    ;;
esac
