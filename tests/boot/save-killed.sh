#!/usr/bin/env bash
# Whoever is killed while a domain is saved leaves no file under the name that was asked for, and none beside it: dom1 save, and the
# domain goes on unharmed; or the domain, and it is gone. A file that was there stays as it was.
# variants: client-4 client-40 domain-4 domain-40
# long: client-4 client-40 domain-4 domain-40
# limit: 300
# shellcheck disable=SC2119  # restore
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

folder=$scratch/files

# expect_old: only the file of before is there.
expect_old() {
  [[ $(ls -A "$folder") == saved && $(cat "$folder/saved") == "of before" ]] || fail "after $i: $(ls -lA "$folder")"
}

begin() {
  mkdir -p "$folder"
  echo "of before" >"$folder/saved"
}

# After up to 60 ms, before, in the midst of or after it all.
kill_soon() {
  sleep "0.0$((RANDOM % 60 + 10))"
  kill -KILL "$1" 2>/dev/null || true
}

# settle: dom1 save, $saver, was done before it was killed, and what it wrote is whole; or it counts in $n_killed.
settle() {
  if wait "$saver"; then
    dom1 saved --check "$folder/saved" >"$out/saved"
    begin
  else
    n_killed=$((n_killed + 1))
    expect_old
  fi
}

clients() {
  local i saver n_killed=0
  begin
  start_guest 64 2
  wait_rounds 2
  for ((i = 1; i <= $1; i++)); do
    dom1 save --leave-running "$name" "$folder/saved" 2>"$out/save" &
    saver=$!
    kill_soon "$saver"
    settle
    wait_rounds $(($(rounds) + 1))
  done
  ((n_killed > 0)) || fail "none was killed"
  dom1 save --leave-running "$name" "$folder/saved" || fail "no save any more"
  dom1 saved --check "$folder/saved" >"$out/saved"
  end_guest
  expect_every_round
}

domains() {
  local i saver machine n_killed=0
  begin
  for ((i = 1; i <= $1; i++)); do
    : >"$out/text"
    start_guest 64 1
    wait_rounds 2
    machine=$(pgrep -P "$pid" -x dom1-machine || pgrep -P "$pid")
    dom1 save "$name" "$folder/saved" 2>"$out/save" &
    saver=$!
    kill_soon "$machine"
    settle
    finish
  done
  ((n_killed > 0)) || fail "none was killed"
}

IFS=- read -r who times <<<"$1"
"${who}s" "$times"
