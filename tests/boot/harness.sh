#!/usr/bin/env bash
# dom1 test with guests that produce each verdict. verdicts: one of each. killed: of dom1 test itself, and
# signals. tmux: on a terminal that is resized, with Ctrl-C once and twice, and into a pipe. many: two hundred with mixed endings. flood: a guest that prints without measure. linux: a Linux as a target.
# variants: verdicts killed tmux flood gigabyte many linux
# long: killed tmux flood gigabyte many linux
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

image=${tools%/*}/guest/guest-abi-64
tests=$scratch/tests
mkdir -p "$tests"

# guest NAME WORDS [LINE...]: a target: the guest with that command line, and lines of its configuration.
guest() {
  printf 'kernel = "%s"\ntype = "pvh"\nmemory = 32\ncmdline = "%s"\n' "$image" "$2" >"$tests/$1.cfg"
  printf '%s\n' "${@:3}" >>"$tests/$1.cfg"
}

# harness OPTION...: sets $status and $run.
harness() {
  next_run
  command=(dom1 test "$@")
  printf '%q ' "${command[@]}" >"$run/command"
  status=0
  "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
}

# name, words of the guest, verdict, exit status, lines of its configuration
verdicts() {
  cat <<'TABLE'
a-success|misc|passed
b-warnings|say W|passed
c-skip|say S|skipped
d-error|say E|error
e-failure|say F|failed
f-tap|say t|passed
g-tap-failed|say n|failed
h-tap-short|say m|error
i-half|say h|error
j-noise|say c|passed
k-crash|end 3|crash
l-late-crash|say l|crash
m-reboot|end 1|reboot
n-hang|say x|timeout|# dom1-test: timeout=5
o-prompt|say p|passed|# dom1-test: expect=login: $
p-forbidden|say p|failed|# dom1-test: fail-on=login
q-crash-wanted|end 3|passed|# dom1-test: expect-end=crash
r-not-today|misc|skipped|# dom1-test: skip=not today
t-dialogue|say p|passed|# dom1-test: script=dialogue
u-monologue|say p|failed|# dom1-test: script=monologue
v-interrupted|end 3|crash|# dom1-test: script=monologue
TABLE
}

make_verdicts() {
  local name words verdict line
  while IFS='|' read -r name words verdict line; do
    guest "$name" "$words" "$line"
  done < <(verdicts)
  printf '%s\n' 'expect ^login: $' 'xenstore /local/domain/1/name' 'write /local/domain/1/data/word a b' \
    'xenstore /local/domain/1/data/word a b' 'send root\n' >dialogue
  printf '%s\n' 'expect ^login: $' 'timeout 2' 'mark never' >monologue
  # Nothing can be started.
  printf 'kernel = "%s/missing"\n' "$tests" >"$tests/s-missing.cfg"
}

case $1 in
  verdicts)
    make_verdicts
    trap 'rm -f dialogue monologue' EXIT
    harness --output "$out/kept" "$tests"
    expect_status 4
    while IFS='|' read -r name _ verdict _; do
      grep -qE "^$verdict +$tests/$name.cfg" "$run/console" || fail "$name is not $verdict"
    done < <(verdicts)
    expect "$run/console" "failed +$tests/u-monologue.cfg [(].*[)]: monologue:3: mark never: did not come in 2 s"
    expect "$run/console" "host-error +$tests/s-missing.cfg [(].*[)]: .*missing.*"
    [[ $(tail -n 1 "$run/console") == "7 passed, 13 failed, 2 skipped" ]] || fail "the counts: $(tail -n 1 "$run/console")"
    # In the order of the names.
    sed -nE "s|^[a-z-]+ +$tests/([a-z])-.*|\1|p" "$run/console" >"$run/order"
    [[ $(wc -l <"$run/order") == 22 ]] || fail "not a line for each test"
    sort -c "$run/order" || fail "not in order"
    [[ -s $out/kept/junit.xml && -s $out/kept/results.json ]] || fail "no junit.xml or no results.json"
    grep -rq '"event_channels"' "$out/kept" || fail "no evidence of a crash"
    ;;
  killed)
    for name in a b c; do guest "$name" "say x"; done
    for signal in INT KILL; do
      next_run
      command=(dom1 test -j 2 "$tests")
      "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
      pid=$!
      for ((i = 0; i < 600; i++)); do
        ! compgen -G "$XDG_RUNTIME_DIR/dom1/*" >/dev/null || break
        sleep 0.1
      done
      sleep 1
      kill -"$signal" "$pid"
      finish
      [[ $signal == KILL ]] || expect_status 130
      for ((i = 0; i < 100; i++)); do
        compgen -G "$XDG_RUNTIME_DIR/dom1/*" >/dev/null || break
        sleep 0.1
      done
      ! compgen -G "$XDG_RUNTIME_DIR/dom1/*" >/dev/null || fail "after $signal: $(ls "$XDG_RUNTIME_DIR/dom1")"
    done
    ;;
  tmux)
    for name in a b c; do guest "$name" "say x"; done
    export TMUX_TMPDIR=$scratch TERM=screen LC_ALL=C.UTF-8
    screen() { tmux capture-pane -p -t t 2>/dev/null || true; }
    # shown REGEX: a line of the screen is so, soon.
    shown() {
      local i
      for ((i = 0; i < 300; i++)); do
        ! screen | grep -qE -- "$1" || return 0
        sleep 0.1
      done
      screen >"$out/screen"
      fail "the screen never had $1: $(grep -v '^$' "$out/screen" | tail -n 5)"
    }
    trap 'tmux kill-server 2>/dev/null || true' EXIT
    # begin OPTION...: on a fresh screen; the shell tells the status, and stays.
    begin() {
      tmux new-session -d -s t -x 100 -y 24 "dom1 test $* $tests; echo \"status \$?\"; exec sleep 1000"
      shown '^\[0/3\] 1 running, 0 passed, 0 failed'
    }
    begin -j 1
    tmux resize-window -t t -x 30 -y 10
    sleep 2
    # One line still, and none that the terminal had to break.
    [[ $(screen | grep -c 'running') == 1 ]] || fail "after a resize: $(screen)"
    shown '^\[0/3\] 1 running, 0 passed'
    tmux resize-window -t t -x 100 -y 24
    shown '^\[0/3\] 1 running, 0 passed, 0 failed'
    tmux send-keys -t t C-c
    shown '^0 passed, 1 failed, 2 skipped|^0 passed, 0 failed, 3 skipped|^0 passed, 3 failed'
    shown '^status 130'
    ! screen | grep -q running || fail "the progress line stays: $(screen)"
    tmux kill-session -t t
    # The second one has no patience, not even with a dom1 run that does not end.
    begin -j 1
    kill -STOP "$(pgrep -x dom1 | tail -n 1)"
    tmux send-keys -t t C-c
    sleep 1
    ! screen | grep -q '^status' || fail "it did not wait for what runs"
    tmux send-keys -t t C-c
    shown '^status 130'
    tmux kill-session -t t
    # Into a pipe: plain lines.
    tmux new-session -d -s t -x 100 -y 24 "dom1 test --timeout 2 $tests 2>&1 | cat -v >$out/piped; exec sleep 1000"
    for ((i = 0; i < 300; i++)); do
      ! grep -q '^0 passed, 3 failed' "$out/piped" 2>/dev/null || break
      sleep 0.1
    done
    expect "$out/piped" "0 passed, 3 failed, 0 skipped"
    refuse "$out/piped" "\\^\\[|\\^M|[0-9] running,"
    ;;
  gigabyte)
    guest flood "say f 1024"
    harness --timeout 850 --output "$out/kept" "$tests"
    expect_status 0
    # No more of it is kept than was said.
    (($(wc -c <"$(echo "$out"/kept/*/console.log)") < 66 << 20)) || fail "too much of the console is kept"
    rm -r "$out/kept"
    ;;
  flood)
    guest flood "say f 32"
    harness --timeout 400 --output "$out/kept" "$tests"
    expect_status 0
    [[ $(wc -c <"$(echo "$out"/kept/*/console.log)") -gt $((32 << 20)) ]] || fail "not all of the console is kept"
    rm -r "$out/kept"
    ;;
  many)
    kinds=("misc" "say S" "say F" "end 3" "end 1")
    for ((i = 0; i < 200; i++)); do
      guest "$(printf '%03d' "$i")" "${kinds[i % 5]}"
    done
    for shard in 1 2 3; do
      harness --shard "$shard/3" --list "$tests"
      cat "$run/console" >>"$scratch/shards"
    done
    harness --list "$tests"
    cmp <(sort "$scratch/shards") <(sort "$run/console") || fail "the shards are not the set"
    harness "$tests"
    expect_status 34
    [[ $(tail -n 1 "$run/console") == "40 passed, 120 failed, 40 skipped" ]] || fail "$(tail -n 2 "$run/console")"
    expect "$run/console" "40 failed, 40 reboot, 40 crash"
    ;;
  linux)
    guest_script <<'GUEST'
echo TAP version 13
echo 1..1
echo ok 1 - in Linux
GUEST
    harness --timeout 200 "$guests/vmlinuz-old" -- --initrd "$scratch/initrd" --shim "$guests/xen-shim" \
      --append "console=hvc0 quiet dom1.nonce=$nonce" --memory 512M
    expect_status 0
    expect "$run/console" "1 passed, 0 failed, 0 skipped"
    ;;
esac
