#!/usr/bin/env bash
# Xen's ABI as guests of our own find it: 64-bit, PAE, two-level and no paging; one is a Multiboot 1 image. Each family of hypercalls is a boot of
# its own, so that one failure does not hide another. A check that fails on purpose must be seen. vcpus-N: so many
# vCPUs are started by VCPUOP_initialise, and again by INIT and SIPI. ends: how the guest ends, as dom1 reports it.
# pv: a PV guest in the shim, of what the shim hands on.
# variants: 64 pae nonpae flat pv fails ends vcpus-4 vcpus-32
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

families=(memory_op reservation evtchn delivery grant grant_map grant_v2 vcpu_op timers sched_op hvm_op xen_version
  multicall misc paging soft_reset)
failures=0

# run_guest MODE WORDS [OPTION...]: sets $status, and $run/console is what it printed.
run_guest() {
  local mode=$1 words=$2
  shift 2
  next_run
  command=(dom1 run --type pvh --kernel "${tools%/*}/guest/guest-abi-$mode" --memory 64M --vcpus 2 --timeout 60
    --append "$words" --name "abi-$$-$runs" --report "$run/report.json" "$@")
  printf '%q ' "${command[@]}" >"$run/command"
  status=0
  "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
}

# result: what the guest says, by the convention of Xen's test framework; nothing unless it is the last line.
result() {
  lines "$run/console" | tail -n 1 | sed -n 's/^Test result: \([A-Z]*\)$/\1/p'
}

# expect_success NAME: else its failed checks are shown, and the test goes on with what is next.
expect_success() {
  if [[ $status == 0 && $(result) == SUCCESS ]]; then
    printf '%s: %s\n' "$1" "$(lines "$run/console" | grep -E '^[0-9]+ passed, 0 failed, [0-9]+ skipped$' || true)"
    return 0
  fi
  failures=$((failures + 1))
  printf '%s: status %s, result %s (run %s)\n' "$1" "$status" "$(result)" "$runs"
  lines "$run/console" | grep -E '^(FAIL|exception|[0-9]+ passed)' | sed 's/^/  /' || true
  head -n 3 "$run/stderr" | sed 's/^/  /'
}

case $1 in
  fails)
    run_guest 64 fail
    expect_status 0
    [[ $(result) == FAILURE ]] || fail "a check that fails is not seen: $(result)"
    expect "$run/console" "FAIL a check that fails on purpose: got 1, expected 2 .*"
    run_guest 64 "no-such-family"
    [[ $(result) == ERROR ]] || fail "a family that there is not is not seen: $(result)"
    ;;
  ends)
    # mode, words, status, outcome
    while read -r mode words expected outcome; do
      run_guest "$mode" "end $words" --on-reboot=stop
      expect_status "$expected"
      expect_outcome "$outcome" "$expected"
      refuse "$run/console" "^FAIL|^Test result"
    done <<'ENDS'
64 0 0 poweroff
pae 0 0 poweroff
64 1 32 reboot
pae 1 32 reboot
64 3 34 crash
64 4 34 crash
64 down 0 poweroff
pae down 0 poweroff
64 halt 0 poweroff
64 triple 34 crash
pae triple 34 crash
64 watchdog 34 crash
pae watchdog 34 crash
ENDS
    ;;
  pv)
    run_guest pv "" --type pv --shim "$guests/xen-shim" --shim-log "$DOM1_BOOT_OUT/shim.log" --memory 128M
    expect_success "in the shim"
    ;;
  vcpus-*)
    n=${1#vcpus-}
    for mode in 64 pae; do
      run_guest "$mode" "smp $n" --vcpus "$n" --timeout 100
      expect_success "$mode, $n vCPUs by VCPUOP_initialise"
      if ((n <= 4)); then
        run_guest "$mode" stress --vcpus "$n"
        expect_success "$mode, $n vCPUs that make hypercalls at once"
      fi
    done
    run_guest 64 "smp sipi $n" --vcpus "$n" --timeout 100
    expect_success "64, $n vCPUs by INIT and SIPI"
    ;;
  *)
    for family in "${families[@]}"; do
      run_guest "$1" "$family"
      expect_success "$family"
    done
    run_guest "$1" "smp 2"
    expect_success "smp 2"
    if [[ $1 == flat ]]; then
      run_guest flat "evtchn 200" --max-event-channels 200
      expect_success "evtchn, at most 200 ports"
      run_guest multiboot misc
      expect_success "started by Multiboot 1: misc"
      run_guest elf32-x86-64 misc
      expect_success "ELF32 for x86-64: misc"
    fi
    ;;
esac
((failures == 0)) || fail "$failures of $runs guests"
