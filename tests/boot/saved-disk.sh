#!/usr/bin/env bash
# A Linux that writes to its disks without a pause is saved and restored in the middle of that, again and again: what it reads is what
# it wrote last, on a disk, on a snapshot whose base stays as it is, and beside one that is only read. --leave-running lets it go on.
# Images that are not what they were are refused.
# variants: pvh-new-1 pvh-new-2 pv-old-2
# long: pvh-new-1 pvh-new-2 pv-old-2
# limit: 600
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

IFS=- read -r type kernel vcpus <<<"$1"
{
  printf 'nonce=%s\n' "$nonce"
  cat <<'GUEST'
# shellcheck disable=SC2046
insmod /xen-blkfront.ko $(tr ' ' '\n' </proc/cmdline | sed -n 's/^xen_blkfront\.//p')
until [ -b /dev/xvda ] && [ -b /dev/xvdb ] && [ -b /dev/xvdc ]; do sleep 0.1; done
text() { yes "round $2 of $1, $nonce: this line is as long as it is so that pages differ" | head -c 700000; }
n=0
until [ "$(xenstore read control/end 2>/dev/null)" = 1 ]; do
  n=$((n + 1))
  for disk in a b; do
    (text "$disk" "$n" | dd of="/dev/xvd$disk" bs=24k 2>/dev/null; sync) &
  done
  wait
  echo 3 >/proc/sys/vm/drop_caches
  for disk in a b; do
    [ "$(head -c 700000 "/dev/xvd$disk" | md5sum)" = "$(text "$disk" "$n" | md5sum)" ] || echo "WRONG disk $disk"
  done
  [ "$(tail -c 300000 /dev/xvdb | md5sum)" = "$(tail -c 300000 /dev/xvdc | md5sum)" ] || echo "WRONG base"
  echo "round $n"
done
dmesg | grep -E 'I/O error|rcu.*stall|soft lockup|Oops|Call Trace' && echo "WRONG log"
echo "Test result: SUCCESS"
GUEST
} | guest_script
mkdir "$scratch/more"
cp "$guests/modules-$kernel/xen-blkfront.ko" "$scratch/more/"
(cd "$scratch/more" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >>"$scratch/initrd"
cd "$scratch"
truncate -s 2M disk
head -c 2M /dev/urandom >base
cp base shared
sum=$(sha256sum <base)

next_run
name=saved-$$
guest_options --memory 256M --vcpus "$vcpus" --name "$name" --disk disk --disk base,snapshot=on --disk shared,ro
"${command[@]}" </dev/null >>"$out/text" 2>"$run/stderr" &
pid=$!
cd - >/dev/null
wait_rounds 2
for i in 1 2; do
  if ((i == 2)); then
    mine=$run
    save --leave-running
    wait_rounds $(($(rounds) + 2))
    # The domain has gone on with its disk: what was saved is not what the disk is any more.
    refused_command 4 "domain.saved: its disk xvda, .*/disk, was written to since it was saved.*|.*/disk: .*in use by.*" \
      dom1 run --restore "$file" --name "never-$$"
    run=$mine
  fi
  sleep "0.$((RANDOM % 90 + 10))"
  if ((i == 1)); then
    # Through a pipe: what was written to the snapshot comes with it.
    dom1 save "$name" - >"$scratch/stream" || fail "dom1 save: status $?"
    expect_saved
    next_run
    dom1 run --restore - --timeout 800 --report "$run/report.json" <"$scratch/stream" >>"$out/text" 2>"$run/stderr" &
    pid=$!
  else
    save
    expect_saved
    restore
  fi
  wait_rounds $(($(rounds) + 2))
done
end_guest
expect_every_round
last=$(rounds)
cmp <(yes "round $last of a, $nonce: this line is as long as it is so that pages differ" | head -c 700000) <(head -c 700000 "$scratch/disk") ||
  fail "the disk does not have what the guest wrote last"
[[ $(sha256sum <"$scratch/base") == "$sum" ]] || fail "the base of a snapshot was written to"

dom1 saved --check "$file" >"$out/saved"
expect "$out/saved" "disk: .*vdev=xvda,access=rw,.*target=$scratch/disk"
refused_command 4 "domain.saved: its disk xvda, .*/disk, was written to since it was saved.*" dom1 run --restore "$file"
truncate -s 1M "$scratch/disk"
refused_command 4 "domain.saved: its disk xvda, .*/disk, has another size.*" dom1 run --restore "$file"
rm "$scratch/disk"
refused_command 4 "disk: cannot use it as disk xvda: No such file or directory.*" dom1 run --restore "$file"
printf '%s rounds\n' "$last"
