#!/usr/bin/env bash
# Hosts that cannot run it, output that fails while it runs. dom1 check and dom1 run say the same, with status 3.
# (A KVM without Xen, or too old: tests/unit/vmm/test_kvm.c and tests/unit/check.)
# limit: 150
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "$0")/lib/refused.sh"

# on_host REGEX WHERE...: dom1 run is refused there, and dom1 check agrees. Another user sees nothing of $scratch.
on_host() {
  local regex=$1
  shift
  next_run
  guest_options --initrd "$DOM1_GUEST" --report /dev/null --shim-log /dev/null
  status=0
  "$@" "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_refusal 3 "$regex"
  status=0
  "$@" dom1 check >"$run/check" 2>&1 || status=$?
  expect_status 3
  grep -qE '^missing +(/dev/kvm|KVM)' "$run/check" || fail "dom1 check does not name /dev/kvm"
  grep -q 'remedy: ' "$run/check" || fail "dom1 check has no remedy"
}

# What is mounted is gone with the namespace.
# shellcheck disable=SC2016  # another bash's $@
without_kvm() {
  unshare -rm bash -c 'mount -t tmpfs none /dev; exec "$@"' - "$@"
}
# shellcheck disable=SC2016
other_device() {
  unshare -rm bash -c 'mount --bind /dev/null /dev/kvm; exec "$@"' - "$@"
}
# shellcheck disable=SC2016
locked_device() {
  unshare -m bash -c 'mount -t tmpfs none /mnt; mknod /mnt/kvm c 10 232; chmod 660 /mnt/kvm; chgrp "$1" /mnt/kvm
    mount --bind /mnt/kvm /dev/kvm; shift; exec setpriv --reuid 65534 --regid 65534 --clear-groups \
    env -u XDG_RUNTIME_DIR "$@"' - "$@"
}

on_host "/dev/kvm: no KVM on this host: load kvm-intel or kvm-amd" without_kvm
on_host "/dev/kvm: not a KVM" other_device
if ((EUID == 0)); then
  on_host "/dev/kvm: permission denied: add yourself to the group .* and log in again" locked_device 5
  on_host "/dev/kvm: permission denied: its group cannot use it: .*chgrp kvm /dev/kvm" locked_device 0
fi

# No shim, neither named nor installed.
next_run
echo "dom1 run, without a shim" >"$run/command"
status=0
# shellcheck disable=SC2016
unshare -rm bash -c 'for folder in /usr/lib/xen-*; do [[ ! -d $folder ]] || mount -t tmpfs none "$folder"; done
  exec env -u DOM1_SHIM "$@"' - dom1 run --kernel "$guests/vmlinuz-old" </dev/null >"$run/console" 2>"$run/stderr" ||
  status=$?
expect_refusal 3 "no Xen shim found: .*: install the package xen-utils.*--shim or .DOM1_SHIM"

# A kernel to unpack, and nothing to do it with.
next_run
guest_options --initrd "$DOM1_GUEST"
status=0
# shellcheck disable=SC2016
XDG_CACHE_HOME=$scratch/no-cache unshare -rm bash -c 'for file in $(find -L /lib /usr/lib -name "libarchive.so.*" -type f); do
  mount --bind /dev/null "$file"; done; exec "$@"' - "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
expect_refusal 3 "$guests/vmlinuz-old: it cannot be unpacked on this host: .*libarchive.*: install libarchive, or give its vmlinux"

# A report that cannot be written is told when the domain has run: nobody knew before.
guest_script <<'GUEST'
echo "sum $((nonce + 5))"
GUEST
boot --report /dev/full --console "file:$scratch/console" </dev/null
expect_refusal 2 "/dev/full: cannot write the report: No space left on device"
expect "$scratch/console" "sum $((nonce + 5))"

# Closed standard streams: the domain runs, and none of its files takes their place.
next_run
guest_options --console-log "$scratch/log"
status=0
"${command[@]}" <&- >&- 2>&- || status=$?
: >"$run/stderr"
expect_status 0
expect_outcome poweroff 0
expect "$scratch/log" "sum $((nonce + 5))"
