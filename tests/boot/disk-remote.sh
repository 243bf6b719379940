#!/usr/bin/env bash
# Disks that a server has: ext4 on a qcow2 image, and the qemu-nbd of one is killed; NBD whose server fails, is slow, has less
# than it said, and dies.
# long: yes
# variants: qcow2 killed nbd
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

# A file system that the host made, the guest used, and other programs look at.
qcow2() {
  local image=$scratch/image.qcow2 sum
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ] && [ -b /dev/xvdb ]; do sleep 0.1; done
mount -t ext4 -o discard /dev/xvda /mnt
echo "found $(cat /mnt/from-host)"
read -r word </dev/hvc0
echo "$((nonce + 1))" >/mnt/from-guest
dd if=/dev/urandom of=/mnt/large bs=64k count=200 2>/dev/null
dd if=/dev/zero of=/mnt/away bs=64k count=100 2>/dev/null
sync
rm /mnt/away
echo "large $(sha256sum </mnt/large | cut -d ' ' -f 1)"
umount /mnt
dd if=/dev/urandom of=/dev/xvdb bs=64k count=1 2>/dev/null && sync && echo "b written"
GUEST
  add_module old xen-blkfront
  mkdir "$scratch/tree"
  echo "$nonce" >"$scratch/tree/from-host"
  truncate -s 64M "$scratch/raw"
  mke2fs -q -F -t ext4 -d "$scratch/tree" "$scratch/raw"
  qemu-img convert -f raw -O qcow2 "$scratch/raw" "$image"
  cp "$image" "$scratch/other"
  sum=$(sha256sum <"$scratch/other")
  open_keys
  start --disk "$image,format=qcow2" --disk "$scratch/other,format=qcow2,snapshot=on" <"$scratch/keys"
  wait_for "$run/console" "^found $nonce"
  ! qemu-img snapshot -c x "$image" 2>/dev/null || fail "another program may write to the image"
  type_line go
  wait_for "$run/console" "^b written"
  finish
  expect_status 0
  # It is whole, and nobody's any more.
  qemu-img check -q "$image" || fail "qemu-img finds errors in the image"
  qemu-img convert -f qcow2 -O raw "$image" "$scratch/raw"
  e2fsck -f -n "$scratch/raw" >"$run/fsck" 2>&1 || fail "the file system is not clean: $(tail -n 3 "$run/fsck")"
  [[ $(debugfs -R "cat /from-guest" "$scratch/raw" 2>/dev/null) == $((nonce + 1)) ]] || fail "from-guest is not on the image"
  expect "$run/console" "large $(debugfs -R "cat /large" "$scratch/raw" 2>/dev/null | sha256sum | cut -d ' ' -f 1)"
  [[ $(sha256sum <"$scratch/other") == "$sum" ]] || fail "the image of a snapshot has changed"

  # What cannot be used says so in one line.
  for words in "$scratch/raw,format=qcow2" "$scratch/missing,format=qcow2"; do
    boot --disk "$words" </dev/null
    expect_status 4
    expect_one_line "$run/stderr" "dom1: $scratch/.*: cannot use it as disk xvda: .*"
  done
  boot --disk "$image,format=qcow2" --disk "$image,format=qcow2" </dev/null
  expect_status 4
  [[ -z $(pidof qemu-nbd) ]] || fail "a qemu-nbd was left"
  [[ -z $(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'dom1-nbd-*') ]] || fail "a folder of qemu-nbd's was left"
}

# The qemu-nbd of a disk has few rights, and its death is told.
killed() {
  local image=$scratch/image.qcow2 server
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
yes "$nonce" | dd of=/dev/xvda bs=64k count=4 iflag=fullblock oflag=direct conv=fsync 2>/dev/null && echo "written $((nonce + 1))"
read -r _ </dev/hvc0
dd if=/dev/xvda of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null || echo "first bad"
dd if=/dev/zero of=/dev/xvda bs=64k count=1 oflag=direct 2>/dev/null || echo "second bad"
GUEST
  add_module old xen-blkfront
  qemu-img create -q -f qcow2 "$image" 8M
  open_keys
  start --disk "$image,format=qcow2" <"$scratch/keys"
  wait_for "$run/console" "^written $((nonce + 1))"
  server=$(pidof qemu-nbd)
  expect "/proc/$server/status" "NoNewPrivs:[[:space:]]1"
  [[ $(readlink "/proc/$server/ns/net") != "$(readlink /proc/self/ns/net)" ]] || fail "qemu-nbd has a network"
  kill -KILL "$server"
  wait_gone "$server"
  type_line go
  wait_for "$run/console" "^first bad"
  wait_for "$run/console" "^second bad"
  finish
  expect_status 0
  grep -q "disk xvda: $image: its server is gone, and so is the disk" "$run/stderr" || fail "standard error does not say that qemu-nbd is gone"
  # What was flushed is there, and the image is nobody's.
  qemu-img check -q "$image" || fail "qemu-img finds errors in the image"
  qemu-img convert -f qcow2 -O raw "$image" "$scratch/raw"
  cmp -n 262144 "$scratch/raw" <(yes "$nonce" | head -c 262144) || fail "what was flushed is not in the image"
}

start_server() {
  nbdkit --foreground --unix "$scratch/nbd" "$@" 2>"$out/nbdkit" &
  server=$!
  until [[ -S $scratch/nbd ]]; do
    kill -0 "$server" 2>/dev/null || fail "nbdkit does not start: $(tail -n 1 "$out/nbdkit")"
    sleep 0.1
  done
}

nbd() {
  local uri="nbd+unix:///?socket=$scratch/nbd"
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
echo "size $(cat /sys/block/xvda/size)"
while read -r word skip; do
  if dd if=/dev/xvda of=/read bs=4k count=4 skip="$skip" iflag=direct 2>/dev/null; then
    echo "$word good $(tr -d '\000' </read | wc -c)"
  else
    echo "$word bad"
  fi
done </dev/hvc0
GUEST
  add_module old xen-blkfront
  head -c 4M /dev/urandom | tr '\000' a >"$scratch/data"
  start_server --filter=error --filter=delay file "$scratch/data" error-pread=EIO error-pread-rate=100% \
    error-pread-file="$scratch/fail" rdelay=300ms
  open_keys
  start --disk "$uri" <"$scratch/keys"
  wait_for "$run/console" "^size 8192"
  type_line "first 16"
  wait_for "$run/console" "^first good 16384"
  touch "$scratch/fail"
  type_line "second 32"
  wait_for "$run/console" "^second bad"
  wait_for "$run/stderr" "disk xvda: .* could not be read: Input/output error"
  rm "$scratch/fail"
  type_line "third 48"
  wait_for "$run/console" "^third good 16384"
  # There is less than the server has said.
  truncate -s 2M "$scratch/data"
  type_line "beyond 800"
  wait_for "$run/console" "^beyond bad"
  type_line "before 80"
  wait_for "$run/console" "^before good 16384"
  kill -KILL "$server"
  type_line "fourth 64"
  wait_for "$run/console" "^fourth bad"
  wait_for "$run/stderr" "disk xvda: .*: its server is gone, and so is the disk"
  dom1 destroy "test-$$-$runs"
  finish
  expect_status 143

  # The same death under on-error=stop, of a server that has all again.
  rm "$scratch/nbd"
  truncate -s 4M "$scratch/data"
  start_server file "$scratch/data"
  start --disk "$uri,on-error=stop" <"$scratch/keys"
  wait_for "$run/console" "^size 8192"
  kill -KILL "$server"
  type_line "fifth 16"
  finish
  expect_status 5
  grep -q "disk xvda: .* its server is gone (on-error=stop)" "$run/stderr" || fail "standard error does not say that the server is gone"

  boot --disk "$uri" </dev/null
  expect_status 4
  expect_one_line "$run/stderr" "dom1: nbd\+unix:///\?socket=$scratch/nbd: cannot connect: Connection refused"
}

"$1"
