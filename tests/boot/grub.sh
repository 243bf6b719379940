#!/usr/bin/env bash
# GRUB of Debian's grub-xen-host reaches its prompt and answers commands: as a PVH guest, and as a PV guest in the shim.
# variants: pvh pv
# limit: 150
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

case $1 in
  pvh) image=$guests/grub-i386-xen_pvh.bin ;; # ELF32, EM_386
  pv) image=$guests/grub-x86_64-xen.bin ;;
esac
[[ -e $image ]] || fail "there is no $image: run scripts/setup"

open_keys
next_run
command=(dom1 run --type "$1" --kernel "$image" --name "grub-$$" --memory 256M --report "$run/report.json" --timeout 140)
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" <"$scratch/keys" >"$run/console" 2>"$run/stderr" &
pid=$!

wait_for "$run/console" "grub>"
# What is typed comes back as an echo: only the answer has the sums of it.
type_line "set nonce=$nonce"
# shellcheck disable=SC2016  # GRUB's variable
type_line 'echo one-${nonce}-two'
wait_for "$run/console" "one-$nonce-two"
# Its own modules lie in an archive in memory.
type_line "ls"
wait_for "$run/console" "\(memdisk\)"
type_line "ls (memdisk)/"
wait_for "$run/console" "grub.cfg"
type_line "halt"
finish
expect_status 0
