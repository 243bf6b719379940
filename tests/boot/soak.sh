#!/usr/bin/env bash
# A thousand starts of a tiny guest with a disk, and fifty boots of Linux, one after the other: each ends as it should, and nothing
# of them stays in the host: no process, no file, no open file, no memory of the kernel's.
# variants: starts-20 starts-1000 linux-50
# long: starts-20 starts-1000 linux-50
# limit: 2400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

n=${1#*-}
warm=5
# What the kernel keeps for later is not exact. One page of each of 1000 starts would be half of it.
unreclaimable_kib=8192
head -c 1M /dev/urandom >"$scratch/disk"
sum=$(sha256sum <"$scratch/disk")
next_run
if [[ $1 == linux-* ]]; then
  guest_script <<'GUEST'
echo "up $((nonce + 1))"
insmod /xen-blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
cat /dev/xvda >/dev/null && echo "read $((nonce + 1))"
GUEST
  add_module old xen-blkfront
  guest=(--kernel "$guests/vmlinuz-old" --initrd "$scratch/initrd" --memory 160M --append "console=hvc0 quiet dom1.nonce=$nonce")
  expected=0
else
  guest=(--kernel "${tools%/*}/guest/guest-reboot" --memory 32M --on-reboot stop)
  expected=32
fi
command=(dom1 run --type pvh "${guest[@]}" --disk "$scratch/disk,vdev=xvda" --timeout 120 --name "soak-$$" --console null
  --console-log "$run/console" --report "$run/report.json")
printf '%q ' "${command[@]}" >"$run/command"

# host: processes, open files of the whole host, KiB of the kernel that it cannot take back, mounts.
host() {
  local i files least=0
  # A process that has ended is put away a moment later: the least of some looks is what stays.
  for ((i = 0; i < 10; i++)); do
    sleep 0.1
    read -r files _ </proc/sys/fs/file-nr
    ((least != 0 && files >= least)) || least=$files
  done
  echo "$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l) $least $(sed -n 's/^SUnreclaim: *\([0-9]*\) kB/\1/p' /proc/meminfo) $(wc -l </proc/mounts)"
}

# start_once NUMBER
start_once() {
  local status=0
  "${command[@]}" </dev/null >"$run/stdout" 2>"$run/stderr" || status=$?
  [[ $status == "$expected" ]] || fail "start $1 of $n: status $status: $(head -n 1 "$run/stderr")"
  if [[ $1 != warm && $expected == 0 ]]; then
    expect "$run/console" "up $((nonce + 1))"
    expect "$run/console" "read $((nonce + 1))"
  fi
}

for ((i = 0; i < warm; i++)); do
  start_once warm
done
read -r processes files kib mounts <<<"$(host)"
for ((i = 1; i <= n; i++)); do
  start_once "$i"
done
read -r later_processes later_files later_kib later_mounts <<<"$(host)"
echo "$n starts: $processes processes, $files open files, $kib KiB, $mounts mounts became" \
  "$later_processes, $later_files, $later_kib, $later_mounts"
((later_processes <= processes + 3)) || fail "processes stay"
# The kernel counts open files by CPU, in lots.
((later_files <= files + 64)) || fail "open files stay"
((later_kib <= kib + unreclaimable_kib)) || fail "memory of the kernel's stays"
((later_mounts == mounts)) || fail "mounts stay"
[[ -z $(find "$XDG_RUNTIME_DIR/dom1" -mindepth 1) ]] || fail "files stay: $(find "$XDG_RUNTIME_DIR/dom1" -mindepth 1 -printf '%P ')"
[[ $(sha256sum <"$scratch/disk") == "$sum" ]] || fail "the disk has changed"
