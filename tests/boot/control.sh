#!/usr/bin/env bash
# A running domain is listed, asked, paused, written to through its xenstore, and destroyed.
# limit: 180
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
xenstore write data/mark ready
until [ "$(xenstore read control/word 2>/dev/null)" = "$nonce" ]; do sleep 0.2; done
xenstore write data/mark "heard $((nonce + 1))"
sleep 1000
GUEST
start --name control-$$ </dev/null
name=control-$$

# until_says REGEX COMMAND...: the command's output, sooner or later.
until_says() {
  local regex=$1 i
  shift
  for ((i = 0; i < 600; i++)); do
    if "$@" 2>/dev/null | grep -Eq "$regex"; then
      return
    fi
    sleep 0.2
  done
  fail "$* never said $regex"
}
until_says '^ready$' dom1 xenstore "$name" read data/mark
until_says "$name" dom1 list
until_says '"state" *: *"running"' dom1 info --json "$name"
dom1 pause "$name"
until_says '"state" *: *"paused"' dom1 info --json "$name"
dom1 xenstore "$name" write control/word "$nonce"
# Paused: it does not hear.
sleep 1
[[ $(dom1 xenstore "$name" read data/mark) == ready ]] || fail "a paused guest went on"
dom1 unpause "$name"
until_says "^heard $((nonce + 1))\$" dom1 xenstore "$name" read data/mark
dom1 destroy "$name"
finish
expect_status 143
! dom1 info "$name" >/dev/null 2>&1 || fail "a destroyed domain answers"
