#!/usr/bin/env bash
# Options and surroundings with which nothing can start: the status, exactly one line that names the thing, and nothing
# started or left behind. Files are in refusals-files.sh; what KVM itself can lack is in tests/unit/vmm/test_kvm.c.
# limit: 150
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "$0")/lib/refused.sh"

guest_shell
long=$(printf 'x%.0s' {1..1024})

refused 2 "nonsense" --nonsense
refused 2 "second: unexpected argument" first second
refused 2 "--vcpus=0: must be a number from 1 to 32" --vcpus 0
refused 2 "--vcpus=33: must be" --vcpus 33
refused 2 "--vcpus=-1: must be" --vcpus -1
refused 2 "--vcpus=many: must be" --vcpus many
refused 2 "--memory: 2 MiB: must be .* from 16 MiB" --memory 1M
refused 2 "--memory=0: not a size" --memory 0
refused 2 "--memory=12Q: not a size" --memory 12Q
refused 2 "--memory=-5: not a size" --memory -5
refused 2 "--memory=99999999T: not a size" --memory 99999999T
refused 2 "--memory: 16777216 MiB: must be .* to 8192 GiB" --memory 16T
refused 2 "--low-memory: 5120 MiB: must be" --low-memory 5G
refused 2 "--name=a/b: must be" --name a/b
refused 2 "--name=: must be" --name ""
refused 2 "--name=\.\.: must be" --name ..
refused 2 "--name=a\?b: must be" --name $'a\nb'
refused 2 "sideways: must be multiboot or pvh" --shim-entry sideways
refused 2 "hvm: must be pv or pvh" --type hvm
# What a terminal would obey does not reach it.
refused 4 "bad\?name\?\[31m: " --kernel $'bad\nname\e[31m'
refused 2 "there is no shim; leave out" --type pvh
refused 2 "carrier: must be stdio, file:PATH, pty, socket:PATH or null" --console carrier
refused 2 "sulk: must be" --on-poweroff sulk
refused 2 "sulk: must be" --on-reboot sulk
refused 2 "sulk: must be" --on-crash sulk
refused 2 "never: must be a number" --timeout never
refused 2 "--xen-version=4: must be MAJOR.MINOR" --xen-version 4
refused 2 "all: must be of hypercall, evtchn, grant, xenbus, xenstore, lend" --trace all
refused 2 "\(--append\) has 1024 bytes, Xen takes 1023: shorten it" --append "$long"
refused 2 "\(--shim-append\) has [0-9]+ bytes, Xen takes 1023: shorten it" --shim-append "$long"

# Where nothing can be written. A domain that could not tell how it went does not start.
mkdir "$scratch/folder"
for option in --report --console-log --shim-log; do
  refused_unlogged 2 "$option=.*folder: cannot write: Is a directory" "$option" "$scratch/folder"
  refused_unlogged 2 "$option=.*missing/file: cannot write: No such file" "$option" "$scratch/missing/file"
done
refused 2 "--trace-log=.*folder: cannot write" --trace evtchn --trace-log "$scratch/folder"
refused 2 "--console=.*folder: cannot write" --console "file:$scratch/folder"
refused 2 "--console=.*missing/socket: cannot open: No such file" --console "socket:$scratch/missing/socket"
refused 2 "--console=.*: cannot open: File name too long" --console "socket:$scratch/$long"
: >"$scratch/taken"
refused 2 "--console=.*taken: cannot open: Address already in use" --console "socket:$scratch/taken"

# The amount that a refusal names is enough for a boot, and 16 MiB less is refused.
refused 2 "--memory: 64 MiB are too little .*: give [0-9]+ or more" --memory 64
enough=$(sed -n 's/.*: give \([0-9]*\) or more$/\1/p' "$run/stderr")
refused 2 "--memory: $((enough - 16)) MiB are too little" --memory "$((enough - 16))"
boot --memory "$enough" --append "console=hvc0 quiet dom1.facts" </dev/null
expect_status 0
expect "$run/console" "Linux .*, 1 CPUs, [0-9]+ kB memory"

# Somebody else could have put things into the folder of all domains. (A name in use: names.sh.)
mkdir -p "$XDG_RUNTIME_DIR/dom1"
chmod 777 "$XDG_RUNTIME_DIR/dom1"
refused 3 "cannot make a folder for the domain: .*; set XDG_RUNTIME_DIR" --timeout 5
chmod 700 "$XDG_RUNTIME_DIR/dom1"

# A good command line, for comparison: the options above are what is refused.
boot --timeout 1
expect_status 124

# Commands other than run.
refused_command 2 "nosuch: no such command" dom1 nosuch
refused_command 2 "no kernel: give one with --kernel" dom1 run
refused_command 2 "not expected: a kernel is named by --kernel" dom1 check vmlinuz
refused_command 2 "cannot write to standard output: No space left on device" closed_to /dev/full dom1 --version
refused_command 2 "cannot write to standard output: No space left on device" closed_to /dev/full dom1 --help
refused_command 2 "cannot write to standard output: No space left on device" closed_to /dev/full dom1 run --help
refused_command 2 "cannot write the answer: No space left on device" closed_to /dev/full dom1 check
for what in --version --help "run --help" check list; do
  # shellcheck disable=SC2086  # words
  refused_command 2 "cannot write .*: Bad file descriptor" closed_to - dom1 $what
done
