#!/usr/bin/env bash
# Disks of a running guest: one is added, grows and is taken away again; and a host without room pauses the domain, which
# goes on, with nothing lost, when there is some.
# long: yes
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
insmod /xen-blkfront.ko
sum() { sha256sum | cut -d ' ' -f 1; }
until [ -b /dev/xvda ]; do sleep 0.1; done
echo "ready $((nonce + 1))"
until [ -b /dev/xvdb ]; do sleep 0.1; done
echo "b $(cat /sys/block/xvdb/size) ro $(cat /sys/block/xvdb/ro) $(sum </dev/xvdb)"
until [ "$(cat /sys/block/xvdb/size)" = 4096 ]; do sleep 0.1; done
echo "b has grown"
dd if=/dev/xvdb of=/dev/xvdb bs=64k count=1 seek=31 oflag=direct conv=notrunc 2>/dev/null && echo "b written"
until [ ! -b /dev/xvdb ]; do sleep 0.1; done
echo "b gone"
until [ -b /dev/xvdc ]; do sleep 0.1; done
echo "c $(sum </dev/xvdc)"
dd if=/dev/zero of=/dev/xvdc bs=64k count=1 oflag=direct 2>/dev/null && echo "c written"
# More than the host has room for.
if dd if=/dev/xvdc of=/dev/xvda bs=64k count=16 oflag=direct 2>/said; then
  echo "a written $(dd if=/dev/xvda bs=64k count=16 iflag=direct 2>/dev/null | sum)"
else
  cat /said
  dmesg | tail -n 5
fi
GUEST
mkdir "$scratch/more"
cp "$guests/modules-old/xen-blkfront.ko" "$scratch/more/"
(cd "$scratch/more" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >>"$scratch/initrd"

# A file system with room for 512 KiB, and a disk of 1 MiB on it without a byte of its own.
mkdir "$scratch/small"
mount -t tmpfs -o size=512K small "$scratch/small"
trap 'umount "$scratch/small"' EXIT
truncate -s 1M "$scratch/small/disk"
head -c 1M /dev/urandom >"$scratch/new"
sum=$(sha256sum <"$scratch/new" | cut -d ' ' -f 1)
name=changes-$$

start --name "$name" --disk "$scratch/small/disk,on-error=enospc-pause" </dev/null
wait_for "$run/console" "^ready $((nonce + 1))"

[[ $(dom1 disk attach "$name" "$scratch/new") == xvdb ]] || fail "disk attach does not say xvdb"
wait_for "$run/console" "^b 2048 ro 0 $sum"
# It is this domain's now.
! dom1 disk attach "$name" "$scratch/new" 2>"$run/refused" || fail "an image is attached twice"
expect_one_line "$run/refused" "dom1: disk: $scratch/new: .* in use by .*"
! dom1 disk attach "$name" "$scratch/small/disk,vdev=xvda,ro" 2>"$run/refused" || fail "xvda is there twice"
! dom1 disk resize "$name" xvdb 512K 2>"$run/refused" || fail "a disk has shrunk"
[[ $(dom1 disk resize "$name" xvdb 2M) == 2097152 ]] || fail "disk resize does not say 2097152"
wait_for "$run/console" "^b has grown"
wait_for "$run/console" "^b written"
dom1 disk list "$name" >"$run/list"
expect "$run/list" "xvda +1048576 rw connected $scratch/small/disk"
expect "$run/list" "xvdb +2097152 rw connected $scratch/new"
dom1 disk detach "$name" xvdb || fail "disk detach failed"
wait_for "$run/console" "^b gone"
cmp -n 65536 -i 0:2031616 "$scratch/new" "$scratch/new" || fail "what was written to the grown disk is not in its file"
[[ $(dom1 disk list "$name" | wc -l) == 1 ]] || fail "a disk that is gone is listed"

# Nobody has it any more; and a snapshot leaves it as it is.
truncate -s 1M "$scratch/new"
[[ $(dom1 disk attach "$name" "$scratch/new,snapshot=on,vdev=xvdc") == xvdc ]] || fail "disk attach does not say xvdc"
wait_for "$run/console" "^c written"
[[ $(sha256sum <"$scratch/new" | cut -d ' ' -f 1) == "$sum" ]] || fail "the image of a snapshot has changed"

wait_for "$run/stderr" "paused: disk xvda: $scratch/small/disk: no room"
dom1 info "$name" >"$run/info"
grep -q paused "$run/info" || fail "dom1 info does not say paused"
# Nothing has changed: it is paused again.
dom1 unpause "$name"
steps=0
until [[ $(grep -c "paused: disk xvda" "$run/stderr") -ge 2 ]]; do
  ((++steps < 300)) || fail "it was not paused again"
  sleep 0.1
done
mount -o remount,size=4M "$scratch/small"
dom1 unpause "$name"
head -c 65536 /dev/zero | cat - <(tail -c +65537 "$scratch/new") >"$scratch/expected"
wait_for "$run/console" "^a written $(sha256sum <"$scratch/expected" | cut -d ' ' -f 1)"
finish
expect_status 0
cmp "$scratch/expected" "$scratch/small/disk" || fail "what the guest wrote is not in the file"
