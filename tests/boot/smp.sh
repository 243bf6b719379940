#!/usr/bin/env bash
# Many vCPUs are brought up and can be counted. Only that: the lab has one CPU.
# variants: 4 8 32
# long: 8 32 4
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "cpus $(nproc) online $(cat /sys/devices/system/cpu/online) sum $((nonce + $(nproc)))"
# Each of them runs something.
cpu=0
while [ $cpu -lt "$(nproc)" ]; do
  taskset -c $cpu sh -c 'echo ran' || echo "cpu $cpu runs nothing"
  cpu=$((cpu + 1))
done | sort | uniq -c | sed 's/^ *//'
GUEST

boot --vcpus "$1" --memory 768M
expect_status 0
expect "$run/console" "cpus $1 online 0-$(($1 - 1)) sum $((nonce + $1))"
expect "$run/console" "$1 ran"
