# shellcheck shell=bash
# Helpers shared by the scripts. Source it; `me` is the name put before messages.

me=${0##*/}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck disable=SC2034  # used by the scripts that source this file
deps=$root/build/deps
# mke2fs and others are there, which a user's PATH leaves out.
export PATH=$PATH:/usr/sbin:/sbin
# The shim of scripts/setup, unless the caller names another one.
export DOM1_SHIM=${DOM1_SHIM-$deps/guest/xen-shim}

say() {
  printf '%s: %s\n' "$me" "$*" >&2
}

# die [-STATUS] TEXT: one line that says what failed and what to do about it.
die() {
  local status=1
  if [[ $1 =~ ^-([0-9]+)$ ]]; then
    status=${BASH_REMATCH[1]}
    shift
  fi
  say "$*"
  exit "$status"
}

# can_run: whether this host runs dom1 itself; sets $why, one line.
can_run() {
  local status=0
  why=$("$root/build/host/dom1" check 2>&1) || status=$?
  why=${why##*$'\n'}
  return "$status"
}

# set_up: runs scripts/setup; a first run tells what it does, later ones speak only of failures.
set_up() {
  local log=$root/build/setup.log
  mkdir -p "$root/build"
  if [[ ! -e $deps/stamp || ! -x $root/build/host/dom1 ]]; then
    "$root/scripts/setup" || die "scripts/setup failed: see its message above"
  elif ! "$root/scripts/setup" 2>"$log"; then
    cat "$log" >&2
    die "scripts/setup failed: see its message above"
  fi
}
