#!/usr/bin/env bash
# Where the console goes: files and the log are complete, pty and socket work in both directions.
# variants: stdio null file pty socket
# long: null file socket
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

# Without a question there would be no time to open a pty.
guest_script <<'GUEST'
if grep -q dom1.ask /proc/cmdline; then
  while ! read -r -t 1 answer; do echo "say something"; done
  echo "heard $answer $((nonce + 2))"
  exit
fi
seq 1 5000
echo "end $((nonce + 1))"
GUEST

# expect_all FILE: not a line is missing.
expect_all() {
  lines "$1" | grep -xE '[0-9]+' | cmp -s - <(seq 1 5000) || fail "${1##*/} is not complete"
  expect "$1" "end $((nonce + 1))"
}

expect_same() {
  cmp -s "$1" "$2" || fail "${1##*/} and ${2##*/} are not the same"
}

expect_nothing() {
  [[ ! -s $1 ]] || fail "${1##*/} is not empty"
}

case $1 in
  stdio)
    boot --console-log "$scratch/log"
    expect_status 0
    expect_all "$scratch/log"
    expect_same "$scratch/log" "$run/console"
    ;;
  null)
    boot --console null --console-log "$scratch/log"
    expect_status 0
    expect_all "$scratch/log"
    expect_nothing "$run/console"
    ;;
  file)
    boot --console "file:$scratch/file" --console-log "$scratch/log"
    expect_status 0
    expect_all "$scratch/file"
    expect_same "$scratch/log" "$scratch/file"
    expect_nothing "$run/console"
    ;;
  pty)
    start --console pty --append "console=hvc0 quiet dom1.nonce=$nonce dom1.ask"
    wait_for "$run/stderr" "console on /dev/pts/[0-9]+$"
    exec {tty}<>"$(sed -n 's/.*console on //p' "$run/stderr")"
    cat <&"$tty" >"$run/pty" &
    wait_for "$run/pty" "^say something"
    printf 'pty\n' >&"$tty"
    wait_for "$run/pty" "^heard pty $((nonce + 2))" || true
    exec {tty}>&-
    finish
    expect_status 0
    expect_nothing "$run/console"
    ;;
  socket)
    start --console "socket:$scratch/socket" --append "console=hvc0 quiet dom1.nonce=$nonce dom1.ask"
    wait_for "$run/shim.log" "Xen"
    # One that goes away makes room for the next.
    "$tools/unix-client" "$scratch/socket" </dev/null >"$run/first" &
    first=$!
    wait_for "$run/first" "^say something"
    kill "$first"
    open_keys
    "$tools/unix-client" "$scratch/socket" <"$scratch/keys" >"$run/second" &
    second=$!
    wait_for "$run/second" "^say something"
    type_line socket
    finish
    expect_status 0
    wait "$second" || fail "the connection did not end well"
    expect "$run/second" "heard socket $((nonce + 2))"
    expect_nothing "$run/console"
    [[ ! -e $scratch/socket ]] || fail "the socket is left behind"
    ;;
esac
