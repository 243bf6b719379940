#!/usr/bin/env bash
# A guest that reboots: --on-reboot=stop ends with 32, the default starts it again.
# variants: stop restart
# long: stop
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "ready $((nonce + 1))"
read -r answer
case $answer in
  again) reboot -f ;;
  *) echo "answer $answer" ;;
esac
GUEST

open_keys
if [[ $1 == stop ]]; then
  start --on-reboot=stop <"$scratch/keys"
  wait_for "$run/console" "^ready $((nonce + 1))"
  type_line again
  finish
  expect_status 32
  expect_outcome reboot 32
  expect "$run/facts" "restarts 0"
  exit 0
fi

start <"$scratch/keys"
wait_for "$run/console" "^ready $((nonce + 1))"
type_line again
steps=0
until (($(lines "$run/console" | grep -c "^ready $((nonce + 1))") == 2)); do
  ((++steps < 1200)) || fail "the guest never came back"
  kill -0 "$pid" 2>/dev/null || fail "dom1 ended instead of starting the guest again"
  sleep 0.1
done
type_line enough
finish
expect_status 0
expect "$run/console" "answer enough"
expect_outcome poweroff 0
expect "$run/facts" "restarts 1"
