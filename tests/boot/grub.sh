#!/usr/bin/env bash
# GRUB of Debian's grub-xen-host reaches its prompt and answers commands: as a PVH guest, and as a PV guest in the shim. From
# a disk it reads a Linux and its initramfs, and starts it; that one finds the disk which GRUB has used and let go.
# variants: pvh pv disk-pvh disk-pv
# long: disk-pvh disk-pv
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

case $1 in
  *pvh) image=$guests/grub-i386-xen_pvh.bin ;; # ELF32, EM_386
  *) image=$guests/grub-x86_64-xen.bin ;;
esac
[[ -e $image ]] || fail "there is no $image: run scripts/setup"

# start_grub SIZE [OPTION...]
start_grub() {
  open_keys
  next_run
  command=(dom1 run --type "${type#disk-}" --kernel "$image" --name "grub-$$" --memory "$1" --report "$run/report.json"
    --timeout $((DOM1_BOOT_LIMIT_S - 10)) "${@:2}")
  printf '%q ' "${command[@]}" >"$run/command"
  "${command[@]}" <"$scratch/keys" >"$run/console" 2>"$run/stderr" &
  pid=$!
  wait_for "$run/console" "grub>"
}

prompt() {
  start_grub 256M
  # What is typed comes back as an echo: only the answer has the sums of it.
  type_line "set nonce=$nonce"
  # shellcheck disable=SC2016  # GRUB's variable
  type_line 'echo one-${nonce}-two'
  wait_for "$run/console" "one-$nonce-two"
  # Its own modules lie in an archive in memory.
  type_line "ls"
  wait_for "$run/console" "\(memdisk\)"
  type_line "ls (memdisk)/"
  wait_for "$run/console" "grub.cfg"
  type_line "halt"
  finish
  expect_status 0
}

from_disk() {
  local states
  guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
mount -t ext4 /dev/xvda /mnt
echo "linux $((nonce * 2)) reads $(sha256sum </mnt/data | cut -d ' ' -f 1)"
echo "$((nonce * 3))" >/mnt/written
umount /mnt
GUEST
  add_module old xen-blkfront
  mkdir "$scratch/tree"
  cp -L "$guests/vmlinuz-old" "$scratch/tree/vmlinuz"
  if [[ $type == disk-pv ]]; then
    # Of compressed ones GRUB's PV loader knows only old kinds. dom1 keeps what it has unpacked, an ELF file.
    XDG_CACHE_HOME=$scratch/cache dom1 run --dry-run --kernel "$guests/vmlinuz-old" --shim "$guests/xen-shim" >"$scratch/plan"
    cp "$scratch"/cache/dom1/kernels/* "$scratch/tree/vmlinuz"
  fi
  cp "$scratch/initrd" "$scratch/tree/initrd"
  head -c 1M /dev/urandom >"$scratch/tree/data"
  truncate -s 192M "$scratch/disk"
  mke2fs -q -F -t ext4 -d "$scratch/tree" "$scratch/disk"

  start_grub 512M --disk "$scratch/disk"
  dom1 xenstore "grub-$$" watch device/vbd/51712/state >"$run/states" &
  states=$!
  # shellcheck disable=SC2016  # GRUB's variable
  type_line 'set root=(xen/xvda); echo root-is-${root}'
  wait_for "$run/console" "root-is-xen/xvda"
  type_line "linux /vmlinuz console=hvc0 quiet dom1.nonce=$nonce; echo kernel-is-\$?"
  wait_for "$run/console" "kernel-is-0"
  type_line "initrd /initrd; echo initrd-is-\$?"
  wait_for "$run/console" "initrd-is-0"
  type_line boot
  finish
  expect_status 0
  expect "$run/console" "linux $((nonce * 2)) reads $(sha256sum <"$scratch/tree/data" | cut -d ' ' -f 1)"
  wait "$states" || true
  # What it was when that began, closing, closed, and two states of Linux's at least.
  (($(wc -l <"$run/states") >= 5)) || fail "the front end's state did not change as GRUB and Linux change it"
  e2fsck -fn "$scratch/disk" >"$run/e2fsck" 2>&1 || fail "e2fsck finds faults in what the guest wrote"
  [[ $(debugfs -R "cat /written" "$scratch/disk" 2>/dev/null) == $((nonce * 3)) ]] || fail "what Linux wrote is not on the disk"
}

type=$1
case $1 in
  disk-*) from_disk ;;
  *) prompt ;;
esac
