#!/usr/bin/env bash
# What the guest was told to be safe is in the file when dom1 is killed in the middle of the next writes.
# long: yes
# variants: writeback direct
# limit: 300
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
mkdir "$scratch/more"
cp "$guests/modules-old/xen-blkfront.ko" "$scratch/more/"
(cd "$scratch/more" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >>"$scratch/initrd"
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
last=$(lines "$run/console" | sed -n 's/^safe \([0-9]*\)\.$/\1/p' | tail -n 1)
((last >= 30)) || fail "the guest did not get far: $last"
for ((n = 0; n <= last; n++)); do
  cmp <(yes "$nonce.$n" | head -c 4096) <(dd if="$scratch/disk" bs=4096 skip=$n count=1 status=none) ||
    fail "block $n was safe, and is not in the file (the last that was told: $last)"
done
