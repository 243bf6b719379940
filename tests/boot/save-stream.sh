#!/usr/bin/env bash
# A domain goes through a pipe from one dom1 to another, and its guest does not notice. What is cut off, foreign or damaged on the way is
# refused before anything starts; what nobody takes is kept.
# variants: guest
# limit: 200
# shellcheck disable=SC2119  # restore
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

# What comes by the pipe goes on. In the background the pipe is waited for, too.
receive() {
  next_run
  dom1 run --restore - --timeout 150 --report "$run/report.json" <"$scratch/pipe" >>"$out/text" 2>"$run/stderr" &
  pid=$!
}

# refused_stream REGEX: $scratch/stream is, and nothing is started.
refused_stream() {
  next_run
  status=0
  dom1 run --restore - --name "never-$$" <"$scratch/stream" >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 4
  expect_one_line "$run/stderr" "dom1: standard input: $1"
  [[ ! -s $run/console ]] || fail "something was started"
}

guest() {
  local first size
  export TMPDIR=$scratch/tmp
  mkdir "$TMPDIR"
  start_guest 64 2
  wait_rounds 3
  first=$pid
  mkfifo "$scratch/pipe"
  receive
  dom1 save "$name" - >"$scratch/pipe" || fail "dom1 save: status $?"
  wait "$first" || fail "the saved domain: status $?"
  wait_rounds $(($(rounds) + 3))
  [[ -z $(ls -A "$TMPDIR") ]] || fail "a file is left behind"

  # The second time through a file, which is then damaged.
  dom1 save --leave-running "$name" - >"$scratch/whole" || fail "dom1 save: status $?"
  wait_rounds $(($(rounds) + 2))
  end_guest
  expect_every_round
  size=$(stat -c %s "$scratch/whole")
  ((size < 32 << 20)) || fail "the stream of a guest with few pages has $size bytes"
  for cut in 0 10 4000 $((size / 2)) $((size - 8)); do
    head -c "$cut" "$scratch/whole" >"$scratch/stream"
    refused_stream "cut off: .*"
  done
  printf 'something else, and long enough to be read as a piece of it\n' >"$scratch/stream"
  refused_stream "not a saved domain: dom1 save NAME - sends one"
  damage_stream $((16 + 60))
  refused_stream "damaged: its header's sum is wrong"
  damage_stream $((16 + 4096 + 16 + 200))
  refused_stream "damaged: .*sum of its section domain is wrong"
  damage_stream $((size - 1000))
  refused_stream "damaged: the sum of memory at 0x[0-9a-f]+ is wrong"

  # Nobody takes it: it goes on from the file that is told of.
  start_guest 64 1
  wait_rounds 3
  : >"$out/text"
  wait_rounds 1
  next_run
  status=0
  # A pipe without a reader.
  dom1 save "$name" - 2>"$run/stderr" | true || status=${PIPESTATUS[0]}
  expect_status 2
  expect "$run/stderr" "dom1: save: cannot send it: Broken pipe; what was saved is kept: dom1 run --restore $TMPDIR/.*"
  file=$(echo "$TMPDIR"/*.saved)
  dom1 saved --check "$file" >"$out/saved" || fail "what was kept is no saved domain"
  restore
  wait_rounds $(($(rounds) + 2))
  end_guest
}

# damage_stream OFFSET: of $scratch/whole, with one other byte.
damage_stream() {
  local byte
  cp "$scratch/whole" "$scratch/stream"
  byte=$(od -An -tu1 -j "$1" -N 1 "$scratch/whole")
  printf '%b' "\\x$(printf '%02x' $((byte ^ 1)))" | dd of="$scratch/stream" bs=1 seek="$1" conv=notrunc status=none
}

guest
