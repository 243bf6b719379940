#!/usr/bin/env bash
# Completion for bash, with the dom1 of this build. usage: completions.sh DOM1
# As in an interactive shell.
set -u

PATH=$(dirname "$1"):$PATH
export ASAN_OPTIONS=detect_leaks=0
XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR
trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
compopt() { :; }
# shellcheck source=scripts/completions/dom1.bash
source "$(dirname "$0")/../../scripts/completions/dom1.bash"

# expect RESULT WORD...: what TAB offers behind WORDs.
expect() {
  local result=$1
  shift
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  _dom1
  [[ "${COMPREPLY[*]}" == "$result" ]] || {
    printf '%s: %s, not %s\n' "$*" "${COMPREPLY[*]}" "$result"
    exit 1
  }
}

expect "report reboot" dom1 re
expect "--memory --module" dom1 exec --m
expect "--script --shard" dom1 test --s
expect "" dom1 run ker
expect "" dom1 pause ""
expect "" dom1 no-such --
