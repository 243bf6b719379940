#!/usr/bin/env bash
# A guest that reboots as soon as it is up is started again and again in the same process, which does not grow: a tiny one,
# and Linux.
# variants: 100 500 10000 linux-20 100-memfd 100-guest_memfd
# long: 500 10000 linux-20 100-memfd 100-guest_memfd
# limit: 4000
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

n=${1#linux-}
backing=anonymous
[[ $n != *-* ]] || IFS=- read -r n backing <<<"$n"
guest=(--kernel "$(dirname "$guests")/../host/tests/guest/guest-reboot" --memory 32M)
warm=5
if [[ $1 == linux-* ]]; then
  guest_script <<'GUEST'
echo "up $((nonce + 1))"
reboot -f
GUEST
  guest=(--kernel "$guests/vmlinuz-old" --initrd "$scratch/initrd" --memory 160M --append "console=hvc0 quiet dom1.nonce=$nonce")
  warm=2
fi
next_run
command=(dom1 run --type pvh "${guest[@]}" --memory-backing "$backing" --timeout 3900 --name "restart-$$" --console null --console-log "$run/console"
  --report "$run/report.json")
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null 2>"$run/stderr" &
pid=$!
until (machine_of "$pid") >"$scratch/machine" 2>/dev/null; do
  sleep 0.2
done
machine=$(cat "$scratch/machine")

# restarts: how often it was started again, says the control socket.
restarts() {
  dom1 info --json "restart-$$" 2>/dev/null | tr -d ' \n' | sed -n 's/.*"restarts":\([0-9]*\).*/\1/p'
}

# size: resident KiB without the guest's own memory, of which it touches more or less, and open descriptors: the largest of
# some looks, as a start has more of them than the moment before.
size() {
  local i kib fds most_kib=0 most_fds=0
  for ((i = 0; i < 20; i++)); do
    kib=$(awk '/^Size:/ { large = $2 >= 16384 } /^Rss:/ { if (!large) sum += $2 } END { print sum + 0 }' "/proc/$machine/smaps")
    fds=$(find "/proc/$machine/fd" -mindepth 1 2>/dev/null | wc -l)
    ((kib <= most_kib)) || most_kib=$kib
    ((fds <= most_fds)) || most_fds=$fds
  done
  echo "$most_kib $most_fds"
}

until [[ $(restarts || true) -ge $warm ]]; do
  kill -0 "$pid" 2>/dev/null || fail "dom1 ended: $(head -n 1 "$run/stderr")"
  sleep 0.2
done
read -r kib fds <<<"$(size)"
until [[ $(restarts || true) -ge $((warm + n)) ]]; do
  kill -0 "$pid" 2>/dev/null || fail "dom1 ended: $(head -n 1 "$run/stderr")"
  sleep 0.5
done
read -r later_kib later_fds <<<"$(size)"
kill "$pid"
finish
expect_status 143
# Each of them came as far as its own program.
if [[ $1 == linux-* ]]; then
  n_up=$(lines "$run/console" | grep -cx "up $((nonce + 1))")
  ((n_up >= n)) || fail "of $n Linuxes, $n_up came up"
fi
((later_fds <= fds + 2)) || fail "$fds descriptors became $later_fds in $n restarts"
((later_kib <= kib + 512)) || fail "$kib KiB became $later_kib KiB in $n restarts"
echo "$kib KiB and $fds descriptors after $warm restarts, $later_kib KiB and $later_fds after $n more"
