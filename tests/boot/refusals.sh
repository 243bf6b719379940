#!/usr/bin/env bash
# What cannot be run is refused with its status and exactly one line, and nothing is started.
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_shell
echo "not a kernel" >"$scratch/text"
: >"$scratch/empty"
mkdir "$scratch/folder"
head -c 100000 "$guests/vmlinuz-old" >"$scratch/half"

# refused STATUS REGEX [OPTION...]
refused() {
  local expected=$1 regex=$2
  shift 2
  boot "$@"
  expect_status "$expected"
  expect_one_line "$run/stderr" "dom1: .*$regex.*"
  [[ ! -s $run/console ]] || fail "dom1 $*: something on standard output"
  [[ ! -e $run/shim.log ]] || fail "dom1 $*: something was started"
}

for bad in missing text empty folder half; do
  refused 4 "$bad" --kernel "$scratch/$bad"
  [[ $bad == half ]] || refused 4 "$bad" --shim "$scratch/$bad"
done
refused 4 missing --initrd "$scratch/missing"
refused 4 folder --initrd "$scratch/folder"

refused 2 "nonsense" --nonsense
refused 2 "0" --vcpus 0
refused 2 "33" --vcpus 33
refused 2 "many" --vcpus many
refused 2 "memory" --memory 1M
refused 2 "memory" --memory 0
refused 2 "memory" --memory 12Q
refused 2 "memory" --memory -5
refused 2 "memory" --memory 99999999T
refused 2 "a/b" --name a/b
refused 2 "name" --name ""
refused 2 "sideways" --shim-entry sideways
refused 2 "carrier" --console carrier
refused 2 "sulk" --on-reboot sulk
refused 2 "never" --timeout never
refused 2 "folder" --console-log "$scratch/folder"
refused 2 "report" --report "$scratch/missing/report"

# A good command line, for comparison: the options above are what is refused.
boot --timeout 1
expect_status 124

# Without a KVM that serves: a file that is none, and none at all.
kvm_hidden() {
  next_run
  guest_options
  status=0
  unshare -rm bash -c "$1; shift; exec \"\$@\"" - - "${command[@]}" >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 3
  expect_one_line "$run/stderr" "dom1: .*/dev/kvm.*"
}
# shellcheck disable=SC2016
kvm_hidden 'mount --bind /dev/null /dev/kvm'
kvm_hidden 'mount -t tmpfs none /dev'
