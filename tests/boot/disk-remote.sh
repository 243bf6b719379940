#!/usr/bin/env bash
# Disks that a server has: ext4 on a qcow2 image; NBD whose server fails, is slow, and dies.
# long: yes
# variants: qcow2 nbd
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

add_modules() {
  mkdir -p "$scratch/more"
  cp "$guests/modules-old/xen-blkfront.ko" "$scratch/more/"
  (cd "$scratch/more" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >>"$scratch/initrd"
}

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
  add_modules
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
n=0
while read -r word; do
  n=$((n + 1))
  if dd if=/dev/xvda of=/read bs=4k count=4 skip=$((n * 16)) iflag=direct 2>/dev/null; then
    echo "$word good $(tr -d '\000' </read | wc -c)"
  else
    echo "$word bad"
  fi
done </dev/hvc0
GUEST
  add_modules
  head -c 4M /dev/urandom | tr '\000' a >"$scratch/data"
  start_server --filter=error --filter=delay file "$scratch/data" error-pread=EIO error-pread-rate=100% \
    error-pread-file="$scratch/fail" rdelay=300ms
  open_keys
  start --disk "$uri" <"$scratch/keys"
  wait_for "$run/console" "^size 8192"
  type_line first
  wait_for "$run/console" "^first good 16384"
  touch "$scratch/fail"
  type_line second
  wait_for "$run/console" "^second bad"
  wait_for "$run/stderr" "disk xvda: .* could not be read: Input/output error"
  rm "$scratch/fail"
  type_line third
  wait_for "$run/console" "^third good 16384"
  kill -KILL "$server"
  type_line fourth
  wait_for "$run/console" "^fourth bad"
  dom1 destroy "test-$$-$runs"
  finish
  expect_status 143

  # The same death under on-error=stop.
  rm "$scratch/nbd"
  start_server file "$scratch/data"
  start --disk "$uri,on-error=stop" <"$scratch/keys"
  wait_for "$run/console" "^size 8192"
  kill -KILL "$server"
  type_line fifth
  finish
  expect_status 5
  grep -q "disk xvda: .* its server is gone (on-error=stop)" "$run/stderr" || fail "standard error does not say that the server is gone"

  boot --disk "$uri" </dev/null
  expect_status 4
  expect_one_line "$run/stderr" "dom1: nbd\+unix:///\?socket=$scratch/nbd: cannot connect: Connection refused"
}

"$1"
