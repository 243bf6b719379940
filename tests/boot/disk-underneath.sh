#!/usr/bin/env bash
# What lies under a disk: a snapshot by reflink, and what the host does to an image under a running guest.
# long: yes
# variants: clone underneath
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

# Where the file system shares blocks, a snapshot is a clone: nothing of the image is held, and it stays as it is.
clone() {
  local image=$scratch/xfs/image sum machine
  while read -r module; do
    case $module in
      libcrc32c.ko | xfs.ko) insmod "$guests/modules-new/$module" ;;
    esac
  done <"$guests/modules-new/order"
  truncate -s 400M "$scratch/file"
  mkfs.xfs -q "$scratch/file"
  mkdir "$scratch/xfs"
  mount -o loop "$scratch/file" "$scratch/xfs"
  trap 'umount "$scratch/xfs"' EXIT
  head -c 8M /dev/urandom >"$image"
  sum=$(sha256sum <"$image")
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
dd if=/dev/zero of=/dev/xvda bs=1M count=4 oflag=direct 2>/dev/null
echo "sum $(sha256sum </dev/xvda | cut -d ' ' -f 1)"
read -r word </dev/hvc0
GUEST
  add_module old xen-blkfront
  open_keys
  start --disk "$image,snapshot=on" <"$scratch/keys"
  wait_for "$run/console" "^sum $(head -c 4M /dev/zero | cat - <(tail -c 4M "$image") | sha256sum | cut -d ' ' -f 1)"
  machine=$(machine_of "$pid")
  find "/proc/$machine/fd" -lname "$scratch/xfs/#* (deleted)" | grep -q . || fail "the machine has no nameless file beside the image"
  ! find "/proc/$machine/fd" -lname "$image" | grep -q . || fail "the machine has the image itself"
  # So somebody else may have it, for writing.
  dom1 disk attach "test-$$-$runs" "$image,vdev=xvdb" >"$run/attached" || fail "the image is locked"
  type_line end
  finish
  expect_status 0
  [[ $(sha256sum <"$image") == "$sum" ]] || fail "the image has changed"
}

# The image grows shorter, gets its length again, and another file gets its name.
underneath() {
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
echo "ready $((nonce + 1))"
while read -r word skip; do
  if dd if=/dev/xvda of=/read bs=64k count=1 skip="$skip" iflag=direct 2>/dev/null; then
    echo "$word $(sha256sum </read | cut -d ' ' -f 1)"
  else
    echo "$word bad"
  fi
done </dev/hvc0
GUEST
  add_module old xen-blkfront
  head -c 4M /dev/urandom >"$scratch/disk"
  cp "$scratch/disk" "$scratch/copy"
  part() { dd if="$1" bs=64k count=1 skip="$2" status=none | sha256sum | cut -d ' ' -f 1; }
  open_keys
  start --disk "$scratch/disk" <"$scratch/keys"
  wait_for "$run/console" "^ready $((nonce + 1))"
  truncate -s 2M "$scratch/disk"
  type_line "begin 1"
  wait_for "$run/console" "^begin $(part "$scratch/copy" 1)"
  type_line "end 60"
  wait_for "$run/console" "^end bad"
  wait_for "$run/stderr" "disk xvda: .* could not be read: Input/output error"
  truncate -s 4M "$scratch/disk"
  type_line "hole 60"
  wait_for "$run/console" "^hole $(part /dev/zero 0)"
  head -c 4M /dev/urandom >"$scratch/new"
  mv "$scratch/new" "$scratch/disk"
  type_line "replaced 2"
  wait_for "$run/console" "^replaced $(part "$scratch/copy" 2)"
  dom1 destroy "test-$$-$runs"
  finish
  expect_status 143
}

"$1"
