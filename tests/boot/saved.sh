#!/usr/bin/env bash
# A domain is saved and restored, again and again, and its guest does not notice: a freestanding guest that checks itself (64 and
# 32 bits, N vCPUs, so many times), a PVH Linux, a PV Linux in the shim. What it prints before and after is one text. Files that
# are damaged are refused, and so is what cannot be saved; a save that fails leaves the domain running and no file.
# variants: guest-64-2-1 guest-64-1-3 guest-64-2-5 guest-pae-2-30 guest-64-1-150 guest-64-2-150 linux-pvh-new-1 linux-pvh-new-2 linux-pv-old-1 linux-pv-old-2 refused
# long: linux-pvh-new-1 linux-pvh-new-2 linux-pv-old-1 linux-pv-old-2 guest-64-1-3 guest-64-2-5 guest-pae-2-30 guest-64-1-150 guest-64-2-150 refused
# limit: 900
# shellcheck disable=SC2119  # restore
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

self_checking() {
  local mode=$1 vcpus=$2 times=$3 i more
  start_guest "$mode" "$vcpus"
  wait_rounds 2
  for ((i = 1; i <= times; i++)); do
    save
    expect_saved
    restore
    # Sometimes at once, sometimes in the middle of something.
    more=$((RANDOM % 3))
    ((more == 0)) || wait_rounds $(($(rounds) + more))
    ((RANDOM % 2)) || sleep "0.0$((RANDOM % 90 + 10))"
    dom1 info "$name" >/dev/null 2>&1 || wait_rounds $(($(rounds) + 1))
  done
  dom1 saved --check "$file" >"$out/saved"
  expect "$out/saved" "type: pvh"
  expect "$out/saved" "memory: 64 MiB, in [0-9]+ MiB of the disk"
  wait_rounds $(($(rounds) + 2))
  end_guest
  expect_every_round
  printf '%s\n' "$(rounds) rounds, saved $times times"
}

# damage OFFSET: a copy of the file with one other byte.
damage() {
  cp --sparse=always "$file" "$scratch/damaged"
  local byte
  byte=$(od -An -tu1 -j "$1" -N 1 "$file")
  printf '%b' "\\x$(printf '%02x' $((byte ^ 1)))" | dd of="$scratch/damaged" bs=1 seek="$1" conv=notrunc status=none
}

# expect_damaged REGEX
expect_damaged() {
  refused_command 4 "$1" dom1 run --restore "$scratch/damaged" --name "never-$$"
  refused_command 4 "$1" dom1 saved "$scratch/damaged"
}

refusals() {
  local memory_at size
  start_guest 64 1
  wait_rounds 2
  # The domain goes on after each of these.
  refused_command 2 "save: .*/nowhere/file: cannot write: No such file or directory" dom1 save "$name" /nowhere/file
  refused_command 2 "save: usage: .*" dom1 save "$name"
  mkdir "$scratch/full"
  mount -t tmpfs -o size=128k tmpfs "$scratch/full"
  refused_command 2 "save: .*cannot write the file: No space left on device" dom1 save "$name" "$scratch/full/file"
  [[ -z $(ls -A "$scratch/full") ]] || fail "a file is left behind"
  umount "$scratch/full"
  run=$out/1
  wait_rounds $(($(rounds) + 2))
  save --leave-running
  wait_rounds $(($(rounds) + 2))
  end_guest

  refused_command 2 "--memory: not with --restore: .*" dom1 run --restore "$file" --memory 1G
  refused_command 2 "--restore: the domain cannot be started again: .*" dom1 run --restore "$file" --on-reboot restart
  refused_command 4 "/nowhere: cannot open: No such file or directory" dom1 run --restore /nowhere
  printf 'something else\n' >"$scratch/damaged"
  expect_damaged "damaged: not a saved domain"
  damage 8
  expect_damaged "damaged: a saved domain of format 3, by dom1 [0-9.]+; this dom1 reads format 2: .*"
  damage 60
  expect_damaged "damaged: damaged: its header's sum is wrong"
  damage 4200
  expect_damaged "damaged: damaged: .*sum of its section domain is wrong"
  size=$(stat -c %s "$file")
  head -c $((size - 1)) "$file" >"$scratch/damaged"
  expect_damaged "damaged: cut off: it has $((size - 1)) of $size bytes"
  head -c 100 "$file" >"$scratch/damaged"
  expect_damaged "damaged: damaged: its header's sum is wrong"
  # Memory is looked at by who asks for that: the guest's pattern is from 16 MiB on.
  memory_at=$((size - 64 * 1024 * 1024))
  damage $((memory_at + 17 * 1024 * 1024))
  refused_command 4 "damaged: damaged: the sum of memory at 0x[0-9a-f]+ is wrong" dom1 saved --check "$scratch/damaged"
  # The negative control: a guest whose memory is not what it was notices.
  mv "$scratch/damaged" "$file"
  lines "$out/text" >"$out/text.whole"
  restore
  wait_for "$out/text" "^WRONG memory" 60
  dom1 destroy "$name"
  finish
}

# A Linux counts, and is asked what it is after each time.
linux() {
  local type=$1 kernel=$2 vcpus=$3 i
  {
    printf 'vcpus=%s\n' "$vcpus"
    cat <<'GUEST'
n=0
until [ "$(xenstore read control/end 2>/dev/null)" = 1 ]; do
  n=$((n + 1))
  [ "$(cat /file 2>/dev/null || echo 0)" = "$((n - 1))" ] || echo "WRONG file"
  echo "$n" >/file
  echo "round $n"
  sleep 0.2
done
[ "$(grep -c ^processor /proc/cpuinfo)" = "$vcpus" ] || echo "WRONG vCPUs"
dmesg | grep -E 'rcu.*stall|soft lockup|Oops|Call Trace' && echo "WRONG log"
echo "Test result: SUCCESS"
GUEST
  } | guest_script
  next_run
  name=saved-$$
  guest_options --vcpus "$vcpus" --name "$name"
  "${command[@]}" </dev/null >>"$out/text" 2>"$run/stderr" &
  pid=$!
  wait_rounds 3
  for ((i = 1; i <= 3; i++)); do
    save
    expect_saved
    restore
    wait_rounds $(($(rounds) + 3))
  done
  end_guest
  expect_every_round
  dom1 saved "$file" >"$out/saved"
  expect "$out/saved" "type: $type"
}

IFS=- read -r kind first second third <<<"$1"
case $kind in
  guest) self_checking "$first" "$second" "$third" ;;
  linux) type=$first kernel=$second linux "$first" "$second" "$third" ;;
  refused) refusals ;;
esac
