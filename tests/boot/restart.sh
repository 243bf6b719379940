#!/usr/bin/env bash
# A guest that reboots at once is started again and again in the same process, which does not grow.
# variants: 100 500
# long: 500
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

next_run
dom1 run --type pvh --kernel "$(dirname "$guests")/../host/tests/guest/guest-reboot" --memory 32 --timeout 850 --name restart-$$ \
  --console null --report "$run/report.json" </dev/null 2>"$run/stderr" &
pid=$!
until (machine_of "$pid") >"$scratch/machine" 2>/dev/null; do
  sleep 0.2
done
machine=$(cat "$scratch/machine")

# restarts: how often it was started again, says the control socket.
restarts() {
  dom1 info --json restart-$$ 2>/dev/null | tr -d ' \n' | sed -n 's/.*"restarts":\([0-9]*\).*/\1/p'
}

# size: resident KiB and open descriptors, the largest of some looks: a start has more of them than the moment before.
size() {
  local i rss fds most_rss=0 most_fds=0
  for ((i = 0; i < 20; i++)); do
    rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$machine/status")
    fds=$(find "/proc/$machine/fd" -mindepth 1 2>/dev/null | wc -l)
    ((rss <= most_rss)) || most_rss=$rss
    ((fds <= most_fds)) || most_fds=$fds
  done
  echo "$most_rss $most_fds"
}

until [[ $(restarts || true) -ge 5 ]]; do sleep 0.2; done
read -r rss fds <<<"$(size)"
until [[ $(restarts || true) -ge $((5 + $1)) ]]; do sleep 0.5; done
read -r later_rss later_fds <<<"$(size)"
kill "$pid"
finish
expect_status 143
((later_fds <= fds + 2)) || fail "$fds descriptors became $later_fds in $1 restarts"
((later_rss <= rss + 512)) || fail "$rss KiB became $later_rss KiB in $1 restarts"
echo "$rss KiB and $fds descriptors after 5 restarts, $later_rss KiB and $later_fds after $1 more"
