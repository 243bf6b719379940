#!/usr/bin/env bash
# The ways to end that are not the guest's power-off: each has its status and leaves nothing behind.
# variants: crash timeout terminate interrupt hang-up kill-machine kill-launcher
# long: interrupt hang-up kill-machine
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "up $((nonce + 1))"
read -r answer
[ "$answer" != crash ] || echo c >/proc/sysrq-trigger
sleep 1000
GUEST

open_keys
options=()
[[ $1 != timeout ]] || options=(--timeout 10)
start "${options[@]}" <"$scratch/keys"
# Where the machine is slow the guest may not be up when the time is.
[[ $1 == timeout ]] || wait_for "$run/console" "^up $((nonce + 1))"
machine=
[[ $1 == timeout ]] || machine=$(machine_of "$pid")

case $1 in
  crash) type_line crash ;;
  terminate) kill -TERM "$pid" ;;
  interrupt) kill -INT "$pid" ;;
  hang-up) kill -HUP "$pid" ;;
  kill-machine) kill -KILL "$machine" ;;
  kill-launcher) kill -KILL "$pid" ;;
esac
finish
case $1 in
  crash) expected=(34 crash) ;;
  timeout) expected=(124 timeout) ;;
  terminate) expected=(143 destroyed) ;;
  interrupt) expected=(130 destroyed) ;;
  hang-up) expected=(129 destroyed) ;;
  kill-machine) expected=(137 host-error) ;;
  kill-launcher) expected=(137) ;;
esac
expect_status "${expected[0]}"
[[ ! $machine ]] || wait_gone "$machine"
if [[ $1 != kill-launcher ]]; then
  expect_outcome "${expected[1]}" "${expected[0]}"
  expect_words "$run/stderr" "dom1: .*${expected[1]}.*"
fi
