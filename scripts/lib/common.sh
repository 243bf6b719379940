# shellcheck shell=bash
# Helpers shared by the scripts. Source it; `me` is the name put before messages.

me=${0##*/}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck disable=SC2034  # used by the scripts that source this file
deps=$root/build/deps

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
