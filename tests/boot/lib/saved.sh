# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034,SC2120  # names of test.sh, and of those who call
# What tests of saved domains share: a freestanding guest that counts rounds and checks itself, saved into $file.
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "${BASH_SOURCE[0]}")/refused.sh"

file=$scratch/domain.saved

# start_guest MODE VCPUS [OPTION...]: sets $pid and $name; what it prints goes to $out/text.
start_guest() {
  local mode=$1 vcpus=$2
  shift 2
  next_run
  name=saved-$$
  dom1 run --type pvh --kernel "${tools%/*}/guest/guest-abi-$mode" --memory 64M --vcpus "$vcpus" --timeout 800 --append saved --name "$name" \
    --report "$run/report.json" "$@" </dev/null >>"$out/text" 2>"$run/stderr" &
  pid=$!
}

# restore [OPTION...]: the same for what was saved, under its name.
restore() {
  next_run
  dom1 run --restore "$file" --timeout 800 --report "$run/report.json" "$@" </dev/null >>"$out/text" 2>"$run/stderr" &
  pid=$!
}

rounds() {
  lines "$out/text" | grep -c '^round' || true
}

# wait_rounds NUMBER: so many in all.
wait_rounds() {
  local steps=0
  until (($(rounds) >= $1)); do
    ((++steps < 3000)) || fail "the guest does not go on after round $(rounds)"
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended in round $(rounds): $(head -n 1 "$run/stderr")"
    sleep 0.05
  done
}

# save [OPTION...]
save() {
  dom1 save "$@" "$name" "$file" || fail "dom1 save: status $?"
}

expect_saved() {
  finish
  expect_status 0
  expect_outcome saved 0
  [[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
}

end_guest() {
  local steps=0
  dom1 xenstore "$name" write control/end 1
  while kill -0 "$pid" 2>/dev/null; do
    ((++steps < 600)) || fail "the guest does not end"
    sleep 0.1
  done
  finish
  expect_status 0
  expect "$out/text" "Test result: SUCCESS"
  refuse "$out/text" "^WRONG|^FAIL|exception"
}

# Each round once, in their order: nothing of what it printed is lost, nothing is there twice.
expect_every_round() {
  lines "$out/text" | sed -n 's/^round //p' | awk '$1 != NR { exit 1 }' || fail "rounds are missing, or there twice"
}
