# shellcheck shell=bash
# shellcheck disable=SC2154  # names of test.sh
# What tests of shards share, beside test.sh: guests with mixed endings, and what their merged results must say.

# make_guests FOLDER: nine; what they are is in expect_results.
make_guests() {
  local i words image=${tools%/*}/guest/guest-abi-64
  mkdir -p "$1"
  i=1
  for words in misc "say S" "say F" "end 3" misc misc "say t" "say n" misc; do
    printf 'kernel = "%s"\ntype = "pvh"\nmemory = 32\ncmdline = "%s"\n' "$image" "$words" >"$1/$i.cfg"
    i=$((i + 1))
  done
}

# names JUNIT...: of their tests, sorted.
names() {
  sed -nE 's/.*<testcase name="([^"]*)".*/\1/p' "$@" | sort
}

# expect_results JUNIT: of all the guests, as an independent reader of JUnit says it.
expect_results() {
  python3 "$(dirname "${BASH_SOURCE[0]}")/../../unit/harness/junit-check.py" "$1" >"$scratch/counts" ||
    fail "$1 is not JUnit: $(tail -n 1 "$scratch/counts")"
  [[ $(tail -n 1 "$scratch/counts") == "5 passed, 2 failures, 1 errors, 1 skipped" ]] || fail "$1: $(tail -n 1 "$scratch/counts")"
}

# expect_partition FOLDER JUNIT...: each test is in exactly one of them.
expect_partition() {
  dom1 test --list "$1" | sed 's|.*/||' | sort >"$scratch/listed"
  [[ $(wc -l <"$scratch/listed") == 9 ]] || fail "not nine tests"
  names "${@:2}" | cmp - "$scratch/listed" || fail "the shards are not the set, each test once"
}
