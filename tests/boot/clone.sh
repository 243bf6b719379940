#!/usr/bin/env bash
# One saved domain goes on several times at once. Each clone's guest checks its memory and goes its own way; none of them shares a byte
# with another that it should not, and the file stays as it was. They are told apart by name, UUID and generation.
# variants: guest-64-3 guest-pae-8
# long: guest-pae-8
# limit: 300
# shellcheck disable=SC2119  # restore
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

# node NAME PATH
node() {
  dom1 xenstore "$1" read "$2"
}

# wait_clones LINES: each has printed so many rounds.
wait_clones() {
  local i steps=0
  for ((i = 1; i <= n; i++)); do
    until [[ -e $out/clone-$i ]] && (($(lines "$out/clone-$i" | grep -c '^round' || true) >= $1)); do
      ((++steps < 1200)) || fail "clone $i does not go on"
      kill -0 "$pid" 2>/dev/null || fail "dom1 clone ended: $(head -n 1 "$run/stderr")"
      sleep 0.05
    done
  done
}

# expect_apart PATH: it says something else in each clone.
expect_apart() {
  local i
  for ((i = 1; i <= n; i++)); do node "$name-$i" "$1"; done >"$out/nodes"
  [[ $(sort -u "$out/nodes" | wc -l) == "$n" ]] || fail "$1 is not each clone's own: $(tr '\n' ' ' <"$out/nodes")"
  ! grep -qxF -- "$(cat "$out/before${1//\//-}")" "$out/nodes" || fail "$1 is still the saved domain's"
}

clone_guest() {
  local mode=$1 i path uuid before
  n=$2
  start_guest "$mode" 1
  wait_rounds 2
  for path in vm platform/generation-id name; do
    node "$name" "/local/domain/1/$path" >"$out/before-local-domain-1-${path//\//-}"
  done
  save
  expect_saved
  before=$(sha256sum <"$file")

  next_run
  dom1 clone "$file" -n "$n" --name "$name" -- --console "file:$out/clone-{n}" --timeout 200 >"$run/console" 2>"$run/stderr" &
  pid=$!
  wait_clones 5
  for path in vm platform/generation-id name; do
    expect_apart "/local/domain/1/$path"
  done
  for ((i = 1; i <= n; i++)); do
    uuid=$(node "$name-$i" /local/domain/1/vm)
    [[ $(node "$name-$i" "$uuid/name") == "$name-$i" ]] || fail "clone $i has another name under $uuid"
    [[ $(dom1 info "$name-$i" --json | tr -d ' ' | grep -c "${uuid#/vm/}") == 1 ]] || fail "dom1 info has another UUID than clone $i"
  done
  # Nothing of what a clone writes is in the file, or another's: the guest looks at its memory in each round.
  for ((i = 1; i <= n; i++)); do dom1 xenstore "$name-$i" write control/end 1; done
  finish
  expect_status 0
  [[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
  for ((i = 1; i <= n; i++)); do
    expect "$out/clone-$i" "Test result: SUCCESS"
    refuse "$out/clone-$i" "^WRONG|^FAIL|exception"
  done
  [[ $(sha256sum <"$file") == "$before" ]] || fail "the file has changed"
  dom1 saved --check "$file" >"$out/saved"
}

clone_refusals() {
  refused_command 2 "clone: --number=0: must be a number from 1 to 9999" dom1 clone "$file" -n 0
  refused_command 2 "clone: --name=.*: too long: .*" dom1 clone "$file" --name 0123456789012345678901234567890
  refused_command 4 "clone: /nowhere: cannot open: No such file or directory" dom1 clone /nowhere
  refused_command 2 "--as-clone: of which saved domain\?.*" dom1 run --as-clone --kernel /nowhere
  # What one of them says is its status; a signal ends all.
  next_run
  status=0
  dom1 clone "$file" -n 2 -- --timeout 1 >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 124
  next_run
  dom1 clone "$file" -n 2 --name "$name" -- --console "file:$run/clone-{n}" >"$run/console" 2>"$run/stderr" &
  pid=$!
  wait_for "$run/clone-2" "^round"
  kill -TERM "$pid"
  finish
  expect_status 143
  [[ -z $(dom1 list | grep -F "$name-" || true) ]] || fail "clones are left"
}

IFS=- read -r _ mode number <<<"$1"
clone_guest "$mode" "$number"
clone_refusals
