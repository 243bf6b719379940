#!/usr/bin/env bash
# Scripts pass shellcheck, manuals pass man and mandoc.
# limit: 600
# usage: style.sh OUT
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd "$root"
status=0

for tool in shellcheck mandoc man; do
  type -P "$tool" >/dev/null || {
    echo "$tool is missing: apt-get install shellcheck mandoc man-db"
    exit 1
  }
done

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard |
  xargs grep -lE '^#!.*[/ ](ba|da)?sh$|^#!/bin/busybox sh|^# shellcheck shell=' -- || true)
((${#scripts[@]} > 20)) || {
  echo "only ${#scripts[@]} scripts found"
  exit 1
}
shellcheck --external-sources --source-path=SCRIPTDIR:"$root" "${scripts[@]}" || status=1

for page in docs/man/*; do
  words=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings --encoding=UTF-8 --local-file "$page" 2>&1 >/dev/null)
  # Its style wants a date and lines of 80 bytes.
  words+=$(mandoc -T lint -W warning "$page" | grep -v 'missing date' || true)
  if [[ $words ]]; then
    printf '%s: %s\n' "$page" "$words"
    status=1
  fi
done
exit $status
