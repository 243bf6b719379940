#!/usr/bin/env bash
# What happens to a host while a guest runs: the machine, the launcher or both stand still for a while, as in a suspend of the
# host; its clock is set to another day and back; its CPUs but one go away and come back. The guest goes on each time, without a
# complaint of its kernel's, and the domain's own limits of time hold. The clock is only set in the lab. The CPUs need a host with
# two of them: scripts/lab --cpus 2 -- ... tests/boot/lib/runner.sh "$LAB_OUT" GUEST host-events/cpus-pvh
# variants: still-pvh still-pv clock-pvh clock-pv
# long: still-pvh still-pv clock-pvh clock-pv
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

type=${1#*-}
guest_script <<'GUEST'
i=0
: >/on
(while [ -e /on ]; do i=$((i + 1)); echo "tick $i $(cut -d. -f1 /proc/uptime)"; sleep 0.3; done) &
read -r _
rm /on
wait
dmesg | grep -iE 'rcu.*stall|lockup|unstable|backwards|warning|bug:|oops' | sed 's/^/complaint /'
echo "over $((nonce + 1))"
GUEST
open_keys
name=events-$$
start --name "$name" <"$scratch/keys"
wait_for "$run/console" '^tick 3 '
machine=$(machine_of "$pid")

ticks() {
  lines "$run/console" | grep -c '^tick ' || true
}

# goes_on WHAT: the guest does, and the control socket answers.
goes_on() {
  local before
  before=$(ticks)
  wait_lines $((before + 4)) "$run/console" '^tick ' 60
  timeout 30 dom1 info "$name" >"$run/info" || fail "$1: the control socket does not answer"
}

# uptime: what the guest said last.
uptime() {
  lines "$run/console" | sed -n 's/^tick [0-9]* \([0-9]*\)$/\1/p' | tail -n 1
}

# stand_still WHAT SECONDS PROCESS...
stand_still() {
  local before after_s
  before=$(uptime)
  kill -STOP "${@:3}"
  sleep "$2"
  kill -CONT "${@:3}"
  goes_on "$1"
  # Its time is the host's, which has passed.
  after_s=$(($(uptime) - before))
  ((after_s >= $2 - 1)) || fail "$1: of $2 s, $after_s s passed for the guest"
}

case $1 in
  still-*)
    stand_still "the machine stood still" 6 "$machine"
    stand_still "the launcher stood still" 6 "$pid"
    # Beyond 20 s Linux says that its CPU was stuck, and is right: the time has passed.
    stand_still "both stood still" 12 "$pid" "$machine"
    # While it stands still, who asks is told so, in time.
    kill -STOP "$machine"
    status=0
    dom1 info "$name" >"$run/info" 2>"$run/refused" || status=$?
    kill -CONT "$machine"
    [[ $status == 124 ]] || fail "dom1 info of a machine that stands still: status $status"
    goes_on "the machine was asked while it stood still"
    ;;
  clock-*)
    [[ ${LAB_OUT-} ]] || fail "this sets the clock: only in the lab"
    for jump_s in 86400 -172800 86400; do
      date -s "@$(($(date +%s) + jump_s))" >"$run/date" || fail "the clock cannot be set"
      goes_on "the clock went by $jump_s s"
    done
    ;;
  cpus-*)
    [[ -e /sys/devices/system/cpu/cpu1/online ]] || fail "this host has one CPU: see the head of host-events.sh"
    for ((i = 0; i < 3; i++)); do
      for on in 0 1; do
        echo "$on" >/sys/devices/system/cpu/cpu1/online || fail "the CPU cannot be switched"
        goes_on "CPU 1 is $on"
      done
    done
    ;;
esac
type_line enough
finish
expect_status 0
expect "$run/console" "over $((nonce + 1))"
refuse "$run/console" '^complaint'
expect_outcome poweroff 0
