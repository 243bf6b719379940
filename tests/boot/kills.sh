#!/usr/bin/env bash
# The launcher, the machine or both are killed at instants of chance, as when memory is short, of starts and restarts of a tiny
# guest with a disk: the same name and the same disk start again each time, the disk is what it was, and nothing stays behind.
# variants: 60 500
# long: 60 500
# limit: 3000
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

n=$1
kernel=$(dirname "$guests")/../host/tests/guest/guest-reboot
latest_ms=400
head -c 1M /dev/urandom >"$scratch/disk"
sum=$(sha256sum <"$scratch/disk")
next_run
ready=0

# start_one: in the background; it reboots until it is ended.
start_one() {
  dom1 run --type pvh --kernel "$kernel" --memory 32M --disk "$scratch/disk,vdev=xvda" --console null --timeout 120 \
    --name "kills-$$" "$@" </dev/null >"$run/stdout" 2>"$run/stderr" &
  pid=$!
}

# sleep_ms NUMBER
sleep_ms() {
  sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}

# wait_free: nobody has the name: whoever was not killed, or comes up only now, has seen that the other one was.
wait_free() {
  local steps=0
  while [[ $(dom1 list) == *kills-$$* ]]; do
    ((++steps < 100)) || fail "in round $i the domain lives on: $victim was killed"
    sleep 0.1
  done
}

for ((i = 0; i < n; i++)); do
  start_one
  sleep_ms $((RANDOM % latest_ms))
  machine=$( (machine_of "$pid") 2>/dev/null) || machine=
  [[ ! $machine ]] || ready=$((ready + 1))
  case $((RANDOM % 3)) in
    0) victim=launcher victims=("$pid") ;;
    1) victim=machine victims=("${machine:-$pid}") ;;
    *) victim=both victims=("$pid" ${machine:+"$machine"}) ;;
  esac
  kill -KILL "${victims[@]}" 2>/dev/null || true
  finish
  [[ $status == 137 ]] || fail "in round $i the status is $status: $(head -n 1 "$run/stderr")"
  wait_free
done
start_one --on-reboot stop
finish
expect_status 32
[[ $(sha256sum <"$scratch/disk") == "$sum" ]] || fail "the disk has changed"
((ready > n / 4)) || fail "of $n machines only $ready were there when they were killed"
[[ -z $(find "$XDG_RUNTIME_DIR/dom1" -mindepth 1) ]] || fail "left behind: $(find "$XDG_RUNTIME_DIR/dom1" -mindepth 1 -printf '%P ')"
echo "$n starts killed, $ready of them with a machine"
