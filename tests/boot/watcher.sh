#!/usr/bin/env bash
# The memory watcher that the runner has beside each test: a test whose domain grows beyond what is promised fails by it alone, and
# the same test passes when the domain does not grow. (The runner is started once more, with "still" and "growing".)
# variants: works
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

# What domain 0 writes into the store has no quota: it is the user's own.
grow() {
  local value pairs i j
  value=$(head -c 2000 /dev/zero | tr '\0' x)
  for ((i = 0; i < 8; i++)); do
    pairs=()
    for ((j = 0; j < 300; j++)); do
      pairs+=("/watcher/$i-$j" "$value")
    done
    dom1 xenstore "watcher-$$" write "${pairs[@]}"
  done
}

if [[ $1 != works ]]; then
  next_run
  command=(dom1 run --type pvh --kernel "${tools%/*}/guest/guest-abi-64" --memory 64M --timeout 100 --append "hostile nothing"
    --name "watcher-$$" --console null --console-log "$run/console")
  printf '%q ' "${command[@]}" >"$run/command"
  "${command[@]}" </dev/null >"$run/stdout" 2>"$run/stderr" &
  pid=$!
  wait_for "$run/console" '^--- hostile'
  # It uses all of a CPU, which may be the host's only one.
  dom1 pause "watcher-$$"
  [[ $1 != growing ]] || grow
  # Some of the watcher's looks.
  sleep 2
  dom1 destroy "watcher-$$"
  finish
  expect_status 143
  exit 0
fi

runner=$(dirname "$0")/lib/runner.sh
mkdir "$scratch/again"
"$runner" "$scratch/again" "$DOM1_GUEST" watcher/still watcher/growing >"$out/said" || true
sed 's/^/  /' "$out/said"
expect "$out/said" 'ok +watcher/still .*'
expect "$out/said" 'FAIL +watcher/growing .*'
expect "$out/said" '.*fail: a domain .* took [0-9]+ KiB besides the guest.s RAM.*'
# By the watcher alone: the test itself was content.
[[ $(grep -c 'fail:\|left behind' "$out/said") == 1 ]] || fail "the growing test failed otherwise as well"
