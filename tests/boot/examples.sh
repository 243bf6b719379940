#!/usr/bin/env bash
# The examples of README.md do what it says: their commands are taken out of it and run, in its order, as they are.
# long: yes
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

readme=$(cd "$(dirname "$0")/../.." && pwd -P)/README.md

# What a reader has: a kernel and an initrd of those names. This guest does one thing and powers off, except where the
# word in the command line is for it. It needs no PATH to the shim: runner.sh sets DOM1_SHIM.
guest_script <<'GUEST'
read -r line </proc/cmdline
case " $line " in
  *" wait "*) sleep 1000 ;;
  *" restart "*) reboot -f ;;
esac
echo "booted $(nproc) $(grep -c . /sys/hypervisor/type)"
GUEST
mkdir "$scratch/examples"
ln -s "$guests/vmlinuz-old" "$scratch/examples/vmlinuz"
ln -s "$scratch/initrd" "$scratch/examples/initrd.img"
cd "$scratch/examples"

# example NUMBER: its commands, without the indentation of the list.
example() {
  awk -v number="$1" '
    /^## / { inside = /^## Ten examples/ }
    inside && /^[0-9]+\. / { current = $1 + 0 }
    !inside || current != number { next }
    /^ +```$/ { column = 0 }
    column { print substr($0, column) }
    /^ +```sh$/ { column = index($0, "`") }' "$readme"
}

# run_example NUMBER: as a person would type it, in a shell; sets $run.
run_example() {
  next_run
  example "$1" >"$run/script"
  [[ -s $run/script ]] || fail "README.md has no example $1"
  cp "$run/script" "$run/command"
  bash -e "$run/script" </dev/null >"$run/console" 2>"$run/stderr" || fail "example $1: status $?: $(head -n 1 "$run/stderr")"
}

[[ -s $readme && $(grep -cE '^ *[0-9]+\. ' "$readme") == 10 ]] || fail "README.md has not ten examples"

run_example 1
expect "$run/console" "verdict: this host can run PV domains, and this kernel"
expect "$run/console" "memory: 512 MiB, about .* for the guest"
run_example 2
expect "$run/console" "booted 1 1"
run_example 3
expect "$run/console" "booted 2 1"
expect "$run/console" ".*Xen version 4.*"
run_example 4
expect "$run/console" "booted 1 1"
run_example 5
expect boot.log "booted 1 1"
expect "$run/console" ' *"outcome" *: *"poweroff",'
run_example 6
expect "$run/console" "booted 2 1"

# Two examples of one domain, which lives until the second ends it.
run_example 7
expect "$run/console" "web .*"
cp "$run/console" "$scratch/seven"
run_example 8
expect "$run/console" "hello"
expect "$run/console" "local = .*"
! dom1 info web 2>/dev/null || fail "example 8 has not ended the domain"

run_example 9
expect "$run/console" '.*"body":"device/console/0/state 4.*"|.*"type":"WRITE".*'
run_example 10
expect "$run/console" "status 32"
