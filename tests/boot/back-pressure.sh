#!/usr/bin/env bash
# A console nobody reads stops only the vCPU that writes to it: the other one goes on.
# long: yes
# limit: 180
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
# The kernel itself would wait for the console with its last words.
echo 0 >/proc/sys/kernel/printk
# Linux spins until the console takes all, with interrupts off and the console's lock held: what else wants that
# lock must not run on the other vCPU, and kernel threads must not wait for the one that spins.
echo 2 >"/proc/irq/$(sed -n 's/^ *\([0-9]*\):.*hvc_console/\1/p' /proc/interrupts)/smp_affinity"
# The evidence goes by the xenstore, whose events Linux may have given to any vCPU.
echo 1 >"/proc/irq/$(sed -n 's/^ *\([0-9]*\):.*xenbus/\1/p' /proc/interrupts)/smp_affinity"
for process in /proc/[0-9]*; do
  taskset -p 1 "${process#/proc/}" >/dev/null 2>&1
done
taskset -p 2 "$(pidof khvcd)" >/dev/null
taskset -c 1 sh -c 'while :; do echo "a line of a flood that nobody reads"; done' &
taskset -c 0 sh -c '
  xenstore write data/mark "sum $((nonce * 5 + 2))"
  xenstore count data/mark 20' >/dev/null 2>&1
sleep 1000
GUEST

mkfifo "$scratch/pipe"
# Nobody reads, but somebody could: the pipe stays whole and fills up. The guest cannot end by itself: Linux wants the
# vCPU that spins for it. What the other vCPU did is in the report.
exec {unread}<>"$scratch/pipe"
next_run
guest_options --vcpus 2 --console-log "$scratch/log" --timeout 60
status=0
"${command[@]}" </dev/null >"$scratch/pipe" 2>"$run/stderr" || status=$?
expect_status 124
expect_outcome timeout 124
expect "$run/facts" "phase mark 20"
expect "$run/facts" "phase mark sum $((nonce * 5 + 2))"
# There was a flood, and it did not go anywhere.
size=$(stat -c %s "$scratch/log")
((size >= 60000)) || fail "only $size bytes came: no flood"
((size < 1000000)) || fail "$size bytes were taken from the guest though nobody read them"
# What the pipe holds is the beginning of the log.
timeout 5 cat "$scratch/pipe" >"$run/console" {unread}>&- || true
held=$(stat -c %s "$run/console")
((held >= 4096)) || fail "only $held bytes are in the pipe"
cmp -s -n "$held" "$scratch/log" "$run/console" || fail "log and output differ"
