#!/usr/bin/env bash
# vCPUs are plugged in and out of a running Linux: those above --vcpus are offline at start. A PVH guest
# hears an NMI and VIRQ_DEBUG from outside; dom1 console talks to either.
# variants: pvh-old pvh-new pv-old pv-new
# long: pvh-new pv-old pv-new
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r type kernel <<<"$1"
# What is online is told each time it changes; a vCPU that is plugged in does some work. Linux makes it present; to bring
# it up is udev's work elsewhere, and the script's here.
guest_script <<'GUEST'
said=
while ! xenstore read control/end >/dev/null 2>&1; do
  if [ "$(xenstore read cpu/1/availability)" = online ] && [ "$(cat /sys/devices/system/cpu/cpu1/online)" = 0 ]; then
    echo 1 >/sys/devices/system/cpu/cpu1/online
  fi
  online=$(cat /sys/devices/system/cpu/online)
  if [ "$online" != "$said" ]; then
    said=$online
    echo "online $online sum $((nonce + $(nproc)))"
    case $online in *1) taskset -c 1 sh -c 'echo "work on 1: $((nonce * 2))"' ;; esac
    # Last: what is told is soon taken out again.
    xenstore write data/online "$online"
  fi
  sleep 0.2
done
# What the second column of /proc/interrupts counts on vCPU 0.
echo "nmi $(sed -n 's/^ *NMI: *\([0-9]*\) .*/\1/p' /proc/interrupts)"
echo "debug $(sed -n 's/^ *[0-9]*: *\([0-9]*\) .*debug0$/\1/p' /proc/interrupts)"
read -r line
echo "heard $line"
GUEST
next_run
name=hotplug-$$
command=(dom1 run --type "$type" --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --name "$name"
  --append "console=hvc0 quiet dom1.nonce=$nonce" --vcpus 1 --max-vcpus 2 --report "$run/report.json" --timeout 280)
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
pid=$!

# online_becomes CPUS
online_becomes() {
  local i
  for ((i = 0; i < 400; i++)); do
    [[ $(dom1 xenstore "$name" read data/online 2>/dev/null) != "$1" ]] || return 0
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended before CPUs $1 were online"
    sleep 0.2
  done
  fail "CPUs $1 never were online: $(dom1 xenstore "$name" read data/online)"
}

online_becomes 0
[[ $(dom1 xenstore "$name" read cpu/1/availability) == offline ]] || fail "vCPU 1 is not offline at start"
for _ in 1 2 3; do
  dom1 vcpu-set "$name" 2
  online_becomes 0-1
  dom1 vcpu-set "$name" 1
  online_becomes 0
done
dom1 info --json "$name" >"$out/info"
grep -Eq '"max_vcpus" *: *2' "$out/info" || fail "dom1 info does not say max_vcpus 2"
# No more than there are, and no fewer than one.
for n in 0 3; do
  status=0
  dom1 vcpu-set "$name" "$n" 2>"$out/refused" || status=$?
  expect_status 2
  expect_one_line "$out/refused" "dom1: vcpu-set: .*may have 1 to 2"
done
# Under the shim both are the shim's.
if [[ $type == pvh ]]; then
  dom1 trigger "$name" nmi 0
  dom1 trigger "$name" debug 0
fi
# A second console; a third one is told that there is one.
mkfifo "$scratch/keys"
dom1 console "$name" <"$scratch/keys" >"$out/console" 2>"$out/console.err" &
exec {keys}>"$scratch/keys"
dom1 xenstore "$name" write control/end 1
wait_for "$out/console" "^debug "
status=0
dom1 console "$name" </dev/null >"$out/third" 2>&1 || status=$?
((status != 0)) || [[ ! -s $out/third ]] || fail "a third console shows something"
printf 'hello %s\n' "$nonce" >&"$keys"
finish
expect_status 0
expect "$run/console" "online 0 sum $((nonce + 1))"
expect "$run/console" "online 0-1 sum $((nonce + 2))"
expect "$run/console" "heard hello $nonce"
expect "$out/console" "heard hello $nonce"
if [[ $type == pvh ]]; then
  expect "$run/console" "nmi [1-9][0-9]*"
  expect "$run/console" "debug [1-9][0-9]*"
fi
(($(lines "$run/console" | grep -cx "work on 1: $((nonce * 2))") >= 3)) || fail "a plugged-in vCPU did not work each time"
refuse "$run/console" "WARNING|BUG|Call Trace"
