#!/usr/bin/env bash
# A person steers a running Linux: sysrq, reboot, shutdown --wait, events as they come. A domain whose processes were killed
# is no longer listed, its name is free; another user sees nothing of this one's domains.
# variants: pvh-old pv-old
# long: pvh-old pv-old
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r type kernel <<<"$1"
name=steer-$$
guest_script <<'GUEST'
# Linux does not force it: do_poweroff() of drivers/xen/manage.c.
mkdir -p /sbin
printf '#!/bin/sh\nexec /bin/poweroff -f\n' >/sbin/poweroff
chmod 755 /sbin/poweroff
echo 7 >/proc/sys/kernel/printk
xenstore write data/mark "up $nonce"
echo "up $((nonce + 1))"
sleep 1000
GUEST
next_run
command=(dom1 run --type "$type" --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --name "$name" --memory 448M
  --append "console=hvc0 quiet dom1.nonce=$nonce" --report "$run/report.json" --timeout 280)
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
pid=$!

# up NUMBER: it has come up so often, and its store says so.
up() {
  local i
  for ((i = 0; i < 1200; i++)); do
    if (($(lines "$run/console" | grep -cx "up $((nonce + 1))") == $1)) &&
      [[ $(dom1 xenstore "$name" read data/mark 2>/dev/null) == "up $nonce" ]]; then
      return
    fi
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended: $(head -n 1 "$run/stderr")"
    sleep 0.1
  done
  fail "the guest did not come up for the ${1}. time"
}

up 1
dom1 events "$name" >"$out/events" 2>&1 &
events=$!
dom1 sysrq "$name" h
wait_for "$run/console" "sysrq: HELP"
dom1 list >"$out/list"
expect "$out/list" "$name .*"
# Another user, for whom the folder of running domains is another one.
if ((EUID == 0)); then
  mkdir -m 777 "$scratch/other"
  chmod 755 "$scratch"
  setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "$(type -P dom1)" list >"$out/other" 2>&1 || true
  refuse "$out/other" "$name"
  # Not even who names the folder gets in.
  ! setpriv --reuid 65534 --regid 65534 --clear-groups "$(type -P dom1)" info "$name" >"$out/other-info" 2>&1 ||
    fail "another user may ask the domain"
fi
status=0
dom1 run --type pvh --kernel "$guests/vmlinuz-old" --name "$name" --timeout 5 >"$out/twin" 2>&1 </dev/null || status=$?
expect_status 2

dom1 reboot "$name"
up 2
status=0
dom1 shutdown --wait "$name" >"$out/shutdown" 2>&1 || status=$?
expect_status 0
finish
expect_status 0
expect_outcome poweroff 0
expect "$run/facts" "restarts 1"
wait "$events" || true
for word in RESTART SHUTDOWN; do
  grep -q "$word" "$out/events" || fail "dom1 events did not show $word: $(head -n 5 "$out/events")"
done

# Killed without a chance to clean up.
"${command[@]}" </dev/null >"$out/killed" 2>&1 &
pid=$!
until dom1 info "$name" >/dev/null 2>&1; do
  kill -0 "$pid" || fail "dom1 ended: $(head -n 1 "$out/killed")"
  sleep 0.1
done
machine=$(machine_of "$pid")
kill -KILL "$pid" "$machine"
wait "$pid" 2>/dev/null || true
wait_gone "$machine"
dom1 list >"$out/list-after"
refuse "$out/list-after" "$name"
status=0
dom1 info "$name" >"$out/info-after" 2>&1 || status=$?
((status != 0)) || fail "a killed domain answers"
dom1 run --type pvh --kernel "$(dirname "$guests")/../host/tests/guest/guest-reboot" --memory 32M --on-reboot stop --name "$name" \
  </dev/null >"$out/again" 2>&1 || status=$?
[[ $status == 32 ]] || fail "the name of a killed domain is not free: $(head -n 1 "$out/again")"
