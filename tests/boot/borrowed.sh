#!/usr/bin/env bash
# A domain whose memory is all lent, but for one page that it uses for hypercalls (tests/guest/borrowed). Domain and lender
# are a user's without rights; the lender has a quarter of what the guest uses, and pages the rest to a file, at random.
# R38, R39, R40 of docs/lending.md.
# variants: paged short-of-frames killed silent
# long: short-of-frames killed silent
# limit: 200
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest=${tools%/*}/guest/guest-borrowed
as=()
next_run
runtime=$XDG_RUNTIME_DIR
if [[ $(id -u) == 0 ]]; then
  runtime=$scratch/user
  mkdir -m 700 "$runtime"
  chown 65534:65534 "$runtime"
  chmod 755 "${scratch%/*}" "$scratch"
  # The group of /dev/kvm is the only thing that this user has.
  as=(setpriv --reuid 65534 --regid 65534 --groups "$(stat -c %g /dev/kvm)" --inh-caps=-all --no-new-privs)
fi
name=borrowed-$$
socket=$runtime/dom1/$name/lend.sock

# start_both FRAMES: sets $pid and $lender.
start_both() {
  local steps=0
  command=("${as[@]}" env "XDG_RUNTIME_DIR=$runtime" dom1 run --type pvh --kernel "$guest" --memory 32M --timeout $((DOM1_BOOT_LIMIT_S - 10))
    --console null --name "$name" "--lend-window=2M,gpa=0xd0000000")
  printf '%q ' "${command[@]}" >"$run/command"
  "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
  pid=$!
  until [[ -S $socket ]]; do
    ((++steps < 300)) || fail "no lend.sock"
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended: $(head -n 1 "$run/stderr")"
    sleep 0.1
  done
  "${as[@]}" "$tools/lend-pager" "$socket" "$runtime/swap" "$1" >"$run/lender" 2>&1 &
  lender=$!
}

# wait_for_swap: the lender has written some pages.
wait_for_swap() {
  local steps=0
  until (($(stat -c %b "$runtime/swap" 2>/dev/null || echo 0) >= 200)); do
    ((++steps < 600)) || fail "nothing is paged out"
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended: $(head -n 1 "$run/stderr")"
    sleep 0.1
  done
}

case $1 in
  paged | short-of-frames)
    frames=64
    [[ $1 == paged ]] || frames=40
    start_both "$frames"
    finish
    expect_status 0
    wait "$lender" || fail "the lender: $(cat "$run/lender")"
    expect "$run/lender" 'rounds 2, mistakes 0, own pages 1, .*, checksum same, wrong words 0'
    outs=$(sed -n 's/.*paged out \([0-9]*\)$/\1/p' "$run/lender" | tail -n 1)
    ((outs > 300)) || fail "only $outs pages were paged out"
    cat "$run/lender"
    ;;
  killed)
    # Its death is a revoke of all: nothing is left to run with, and the window's policy is its end.
    start_both 64
    wait_for_swap
    kill -KILL "$lender"
    finish
    expect_status 34
    expect_words "$run/stderr" "dom1: $name: crash: .*"
    ;;
  silent)
    # It answers no more: the guest waits, and can be ended all the same.
    start_both 64
    wait_for_swap
    kill -STOP "$lender"
    sleep 1
    kill -0 "$pid" || fail "the domain ended by itself"
    "${as[@]}" env "XDG_RUNTIME_DIR=$runtime" dom1 destroy "$name"
    finish
    expect_status 143
    kill -KILL "$lender"
    ;;
esac
rm -f "$runtime/swap"
