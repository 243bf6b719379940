#!/usr/bin/env bash
# On a terminal: raw meanwhile, what is typed arrives, and its settings are restored however the run ends.
# variants: poweroff escape kill-machine terminate-launcher kill-launcher
# long: escape kill-machine terminate-launcher
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "up $((nonce + 1))"
read -r a b
echo "product $((a * b))"
GUEST

open_keys
next_run
guest_options
"$tools/on-pty" "$run/result" "${command[@]}" <"$scratch/keys" >"$run/console" 2>"$run/stderr" &
pid=$!
wait_for "$run/console" "^up $((nonce + 1))"
launcher=$(sed -n 's/^pid //p' "$run/result")
machine=$(machine_of "$launcher")

case $1 in
  poweroff) type_line "6 7" ;;
  escape) printf '\035' >&"$keys" ;;
  kill-machine) kill -KILL "$machine" ;;
  terminate-launcher) kill -TERM "$launcher" ;;
  kill-launcher) kill -KILL "$launcher" ;;
esac
finish
case $1 in
  poweroff)
    expect_status 0
    expect "$run/console" "product 42"
    ;;
  escape | terminate-launcher) expect_status 143 ;;
  kill-machine | kill-launcher) expect_status 137 ;;
esac
wait_gone "$machine"
expect "$run/result" "raw yes"
expect "$run/result" "restored yes"
