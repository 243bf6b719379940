#!/usr/bin/env bash
# Two domains at once with different names; a name that is in use is refused.
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "up $((nonce + 1)) $(xenstore read name)"
read -r answer
echo "heard $answer"
GUEST

open_keys
start --name one <"$scratch/keys"
one=$pid
one_run=$run
[[ -d $XDG_RUNTIME_DIR/dom1/one ]] || wait_for "$run/shim.log" Xen
# A machine of root's is another user on the host, and has the folder, with root's group.
access=$(stat -c '%a %g' "$XDG_RUNTIME_DIR/dom1/one")
[[ $access == "700 "* || $access == "770 0" ]] || fail "others may look into the domain's folder: $access"

boot --name one </dev/null
expect_status 2
expect_one_line "$run/stderr" "dom1: .*one.*"

# In another folder for running domains the same name is free; a guest with another name is no hindrance either.
mkfifo "$scratch/keys2"
exec {keys2}<>"$scratch/keys2"
start --name two <"$scratch/keys2"
two=$pid
two_run=$run
wait_for "$two_run/console" "^up $((nonce + 1)) two"
pid=$one
run=$one_run
wait_for "$one_run/console" "^up $((nonce + 1)) one"
printf 'second\n' >&"$keys2"
pid=$two
run=$two_run
finish
expect_status 0
expect "$two_run/console" "heard second"
refuse "$one_run/console" "heard second"
kill -0 "$one" || fail "the first domain ended with the second"
type_line first
pid=$one
run=$one_run
finish
expect_status 0
expect "$one_run/console" "heard first"

# The name is free again, and a stale folder does not hinder. Without the variable, root's folder is in /run.
mkdir -p "$XDG_RUNTIME_DIR/dom1"
mkdir -m 700 "$XDG_RUNTIME_DIR/dom1/one"
echo 1 >"$XDG_RUNTIME_DIR/dom1/one/pid"
boot --name one --timeout 1
expect_status 124
if ((EUID == 0)); then
  unset XDG_RUNTIME_DIR
  start --name "names-$$" --timeout 30
  wait_for "$run/shim.log" Xen
  [[ -d /run/dom1/names-$$ ]] || fail "there is no /run/dom1/names-$$"
  kill -TERM "$pid"
  finish
  expect_status 143
  [[ ! -e /run/dom1/names-$$ ]] || fail "/run/dom1/names-$$ is left behind"
fi
