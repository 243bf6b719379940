#!/usr/bin/env bash
# What the host refuses while a domain starts: each system call of a kind fails in turn, up to the guest's first instruction.
# The start goes on without what it asked for, or ends with one line, a status that says whose fault it is, and nothing left.
# variants: open ioctl memory write read process
# long: open ioctl memory write read process
# limit: 1500
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

kind=$1
kernel=$(realpath "$(dirname "$guests")/../host/tests/guest/guest-reboot")
truncate -s 1M "$scratch/disk"
next_run
went_on=0
refused=0
by_glib=0
failures=0

# start NUMBER: a guest with a disk and logs that resets at once; sets $status, and $run has what it said.
start_with_fault() {
  rm -rf "${run:?}"/*
  status=0
  timeout -k 5 60 "$tools/fail-start" "$kind" "$1" "$kernel" "$run/log" dom1 run --type pvh --kernel "$kernel" --memory 32M \
    --on-reboot stop --disk "$scratch/disk,vdev=xvda" --console null --console-log "$run/console.log" --report "$run/report.json" \
    --name "faults-$$" --timeout 40 </dev/null >"$run/stdout" 2>"$run/stderr" || status=$?
}

# wrong TEXT: it is told, and the test goes on: one look shows all that is amiss.
wrong() {
  failures=$((failures + 1))
  printf '%s: %s; %s\n' "$kind $n" "$*" "$(head -n 1 "$run/log")"
  head -n 3 "$run/stderr" | cut -c 1-200 | sed 's/^/    /'
}

# lines_are NUMBER: on standard error, besides evidence, there are so many lines at most, all of them dom1's.
lines_are() {
  (($(grep -cv '^  ' "$run/stderr" || true) <= $1)) && ! grep -qvE '^(dom1: |  )' "$run/stderr"
}

judge() {
  # Allocations of GLib's end the process by design: an abort, or the trap of g_error().
  if grep -qE 'GLib(-GIO)?-ERROR|GLib: Cannot create|failed to allocate' "$run/stderr" && [[ $status =~ ^(133|134)$ ]]; then
    by_glib=$((by_glib + 1))
  elif [[ $status == 32 ]]; then
    went_on=$((went_on + 1))
    # One about what is missing, one about the end.
    lines_are 2 || wrong "it went on, but said more than two lines"
  elif [[ $status =~ ^[2345]$ ]]; then
    refused=$((refused + 1))
    [[ -s $run/stderr ]] || wrong "status $status without a word"
    lines_are 1 || wrong "status $status with more than a line"
  else
    wrong "status $status"
  fi
  [[ -z $(find "$XDG_RUNTIME_DIR/dom1" -mindepth 1 2>/dev/null) ]] || {
    wrong "left behind: $(find "$XDG_RUNTIME_DIR/dom1" -mindepth 1 -printf '%P ')"
    rm -rf "${XDG_RUNTIME_DIR:?}/dom1"
  }
  # A report that says how it ended says what the status says.
  [[ ! -s $run/report.json ]] || tr -d ' \n' <"$run/report.json" | grep -q "\"status\":${status}[^0-9]" ||
    wrong "the report has another status than $status"
}

n=0
start_with_fault 0
[[ $status == 32 ]] || fail "without a fault its status is $status: $(head -n 1 "$run/stderr")"
total=$(sed -n 's/^counted //p' "$run/log")
((total > 0)) || fail "there are no calls of this kind"
for ((n = 1; n <= total; n++)); do
  start_with_fault "$n"
  # The order of threads is not always the same: the last ones may not come up.
  grep -q '^failed ' "$run/log" || continue
  judge
done
echo "$kind: $total calls; it went on after $went_on, refused $refused, GLib ended $by_glib"
((went_on + refused > 0)) || fail "nothing has failed"
((failures == 0)) || fail "$failures of $total"
