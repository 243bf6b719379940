#!/usr/bin/env bash
# dom1 test --from: each test goes on from one saved domain; --boot-once: the harness saves it by itself, once for all tests of the same
# machine, and tests of another boot as ever.
# variants: guest
# limit: 200
# shellcheck disable=SC2119  # restore
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

guest=${tools%/*}/guest/guest-abi-64

# harness STATUS [OPTION...]: in the folder of the tests; sets $run.
harness() {
  local expected=$1
  shift
  next_run
  status=0
  (cd "$scratch/tests" && dom1 test --timeout 60 "$@") </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status "$expected"
}

# configuration NAME MEMORY SCRIPT
configuration() {
  printf 'name="%s"\nkernel="%s"\ntype="pvh"\nmemory=%s\nextra="saved"\n# dom1-test: script=%s\n' "$1" "$guest" "$2" "$3" >"$scratch/tests/$1.cfg"
}

export TMPDIR=$scratch/tmp
mkdir "$scratch/tests" "$TMPDIR"
printf 'expect ^round 5$\nwrite /local/domain/1/control/end 1\nexpect SUCCESS\n' >"$scratch/tests/good"
# It comes before the guest is saved: a clone never says it.
printf 'timeout 3\nexpect ^round 1$\n' >"$scratch/tests/early"

start_guest 64 1 --save-at "$file,console=^round 3\$"
finish
expect_status 0

harness 1 --from "$file" good early -- --timeout 60
expect "$run/console" "passed +good .*"
expect "$run/console" "failed +early .*early:2: expect \^round 1\\$.*"
expect "$run/console" "1 passed, 1 failed, 0 skipped"
harness 0 --from "$file" --expect '^round 7$' --repeat 4 -j 4
expect "$run/console" "4 passed, 0 failed, 0 skipped"
harness 2 --from "$file" --boot-once good
harness 4 --from "$scratch/nowhere" good
harness 2 --boot-until never good

configuration one 64 "$scratch/tests/good"
configuration two 64 "$scratch/tests/good"
configuration early 64 "$scratch/tests/early"
configuration other 66 "$scratch/tests/early"
# Of three one is booted; "other" alone has its machine, and says all it has to say.
harness 1 --boot-until 'console=^round 3$' --output "$out/kept" --timeout 20 one.cfg two.cfg early.cfg other.cfg
expect "$run/console" "passed +one.cfg .*"
expect "$run/console" "passed +two.cfg .*"
expect "$run/console" "failed +early.cfg .*"
expect "$run/console" "passed +other.cfg .*"
[[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
refuse "$out/kept/one.cfg/console.log" "^round [12]$"
# A moment that does not come.
harness 0 --boot-until mark=never --timeout 3 one.cfg two.cfg
expect "$run/stderr" "dom1: test: one.cfg: --boot-once: not saved, it boots for each test: .*timeout.*"
[[ -z $(ls -A "$TMPDIR") ]] || fail "files are left in $TMPDIR: $(ls -A "$TMPDIR")"
