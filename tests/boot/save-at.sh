#!/usr/bin/env bash
# A domain is saved by itself at a moment: a line of its console, its mark, a Linux' first program. What is not reached, or cannot be
# written, leaves no file.
# variants: guest linux-pvh-new linux-pv-old
# long: linux-pvh-new linux-pv-old
# limit: 400
# shellcheck disable=SC2119  # restore
# shellcheck source=tests/boot/lib/saved.sh
source "$(dirname "$0")/lib/saved.sh"

# ended STATUS: waits for it.
ended() {
  finish
  expect_status "$1"
}

expect_file() {
  dom1 saved --check "$file" >"$out/saved" || fail "$file is no saved domain"
}

guest() {
  local before
  start_guest 64 2 --save-at "$file,console=^round 3\$"
  ended 0
  expect_outcome saved 0
  [[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
  expect_file
  before=$(rounds)
  # The rest of its output may come out with the line, a round or two are under way.
  ((before >= 3 && before < 20)) || fail "saved after $before rounds"

  # A restored domain too, into the file that it comes from.
  restore --save-at "$file,mark=now"
  wait_rounds $((before + 2))
  dom1 xenstore "$name" write data/mark later
  wait_rounds $(($(rounds) + 2))
  dom1 xenstore "$name" write data/mark now
  ended 0
  expect_outcome saved 0
  before=$(rounds)

  # The mark of then is none of now: it ends by itself, and there is no file.
  restore --save-at "$scratch/never,mark=now"
  wait_rounds $((before + 2))
  end_guest_with 1
  expect "$run/stderr" "^dom1: --save-at=.*/never: the domain has ended without having been saved there$"
  [[ ! -e $scratch/never ]] || fail "a file is there"
  expect_every_round

  # A full disk: told once, and the domain goes on.
  mkdir "$scratch/full"
  mount -t tmpfs -o size=128k tmpfs "$scratch/full"
  : >"$out/text"
  restore --save-at "$scratch/full/file,console=^round" --name "$name"
  wait_for "$run/stderr" "^dom1: .*--save-at=.*/full/file: cannot write the file: No space left on device; it goes on$" 60
  sleep 0.5
  [[ $(wc -l <"$run/stderr") == 1 ]] || fail "more than a line is said: $(cat "$run/stderr")"
  end_guest_with 1
  [[ -z $(ls -A "$scratch/full") ]] || fail "a file is left behind"
  umount "$scratch/full"

  refused_command 2 "--save-at=file: must be FILE,init, FILE,mark=TEXT or FILE,console=REGEX" dom1 run --restore "$file" --save-at file
  refused_command 2 "--save-at=\[: not a regular expression: .*" dom1 run --restore "$file" --save-at "file,console=["
  refused_command 2 "/nowhere/file: cannot write: No such file or directory" dom1 run --restore "$file" --save-at /nowhere/file,init
  # What can never be saved is refused at the start.
  refused_command 2 "cannot save it: it has faults on purpose.*" dom1 run --type pvh --kernel "${tools%/*}/guest/guest-abi-64" --memory 64M \
    --append saved --name "$name" --inject event:drop=0.01,seed=1 --save-at "$scratch/never,init"
  [[ ! -e $scratch/never ]] || fail "a file is there"
}

# end_guest_with STATUS: as the guest itself says it, but dom1 has something to say.
end_guest_with() {
  dom1 xenstore "$name" write control/end 1
  finish
  expect_status "$1"
  expect "$out/text" "Test result: SUCCESS"
}

# It has not done anything yet when it is saved; what it does then, it does once.
linux() {
  printf 'echo "first program"\n' | guest_script
  next_run
  name=saved-$$
  # Not quiet: its kernel says when it starts the first program.
  guest_options --append "console=hvc0 dom1.nonce=$nonce" --name "$name" --save-at "$file,init"
  "${command[@]}" </dev/null >>"$out/text" 2>"$run/stderr" &
  pid=$!
  ended 0
  expect_outcome saved 0
  expect_file
  restore --timeout 100
  finish
  expect_status 0
  [[ $(lines "$out/text" | grep -c "^first program$") == 1 ]] || fail "not done once"
}

case $1 in
  guest) guest ;;
  linux-*)
    IFS=- read -r _ type kernel <<<"$1"
    linux
    ;;
esac
