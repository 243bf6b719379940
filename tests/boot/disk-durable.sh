#!/usr/bin/env bash
# What the guest was told to be safe is in the file when dom1 is killed in the middle of the next writes (writeback, direct),
# and on the host's disk when the host itself stops (power).
# long: yes
# variants: writeback direct power
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

# Block N is full of the number N, written and flushed, and only then told.
guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
n=0
while [ $n -lt 2000 ]; do
  yes "$nonce.$n" | dd of=/dev/xvda bs=4096 count=1 seek=$n iflag=fullblock conv=notrunc,fsync 2>/dev/null && echo "safe $n."
  n=$((n + 1))
done
GUEST
add_module old xen-blkfront

# last_told: the last block of which the guest was told that it is safe.
last_told() {
  lines "$run/console" | sed -n 's/^safe \([0-9]*\)\.$/\1/p' | tail -n 1
}

# missing FILE LAST: the first block up to LAST that is not in FILE.
missing() {
  local n
  for ((n = 0; n <= $2; n++)); do
    cmp -s <(yes "$nonce.$n" | head -c 4096) <(dd if="$1" bs=4096 skip=$n count=1 status=none) || {
      echo "$n"
      return
    }
  done
}

killed() {
  local machine last
  truncate -s 16M "$scratch/disk"
  # Direct I/O is a matter of the file system; memory has it since Linux 6.6.
  start --disk "$scratch/disk,cache=$1" </dev/null
  wait_for "$run/console" "^safe 30\."
  machine=$(machine_of "$pid")
  kill -KILL "$pid" "$machine"
  finish
  expect_status 137
  wait_gone "$machine"
  # Nobody was left to clean up; a next domain of this name would.
  rm -r "$XDG_RUNTIME_DIR/dom1/test-$$-$runs"
  last=$(last_told)
  ((last >= 30)) || fail "the guest did not get far: $last"
  [[ -z $(missing "$scratch/disk" "$last") ]] || fail "a block was safe, and is not in the file (the last that was told: $last)"
}

# power_fails CACHE: sets $last, what was told when the host's disk was copied, and $lost, the first of these blocks that is not there.
# The host's disk is a loop device: what Linux has not written to it is not in its file.
power_fails() {
  mke2fs -q -F -t ext4 "$scratch/backing"
  mount -o loop,commit=3000 "$scratch/backing" "$scratch/fs"
  truncate -s 16M "$scratch/fs/disk"
  sync
  start --disk "$scratch/fs/disk,cache=$1" </dev/null
  wait_for "$run/console" "^safe 20\."
  last=$(last_told)
  cp "$scratch/backing" "$scratch/copy"
  dom1 destroy "test-$$-$runs"
  finish
  umount "$scratch/fs"
  mount -o loop "$scratch/copy" "$scratch/fs"
  lost=$(missing "$scratch/fs/disk" "$last")
  umount "$scratch/fs"
}

power() {
  local last lost
  truncate -s 64M "$scratch/backing"
  mkdir "$scratch/fs"
  before=$(sysctl -n vm.dirty_writeback_centisecs)
  trap 'sysctl -qw "vm.dirty_writeback_centisecs=$before"; umount "$scratch/fs" 2>/dev/null || true' EXIT
  # Nothing is written unless somebody asks for it.
  sysctl -qw vm.dirty_writeback_centisecs=0
  power_fails writeback
  [[ -z $lost ]] || fail "block $lost was safe, and is not on the host's disk (the last that was told: $last)"
  power_fails unsafe
  [[ $lost ]] || fail "without flushes all $last blocks are on the host's disk: this test sees nothing"
}

case $1 in
  power) power ;;
  *) killed "$1" ;;
esac
