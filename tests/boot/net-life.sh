#!/usr/bin/env bash
# A network interface outlives what happens around it: the guest's reboot, after which it is the same one and works; and
# the end of passt, after which the guest has no network but goes on.
# variants: pvh-new-reboot pv-old-reboot pvh-old-killed
# long: pvh-new-reboot pv-old-reboot pvh-old-killed
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"
# shellcheck source=tests/boot/lib/net.sh
source "$(dirname "$0")/lib/net.sh"

IFS=- read -r type kernel what <<<"$1"
{
  cat <<'GUEST'
insmod /xen-netfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
echo "mac $(cat /sys/class/net/eth0/address)"
ip link set eth0 up
GUEST
  if [[ $what == killed ]]; then
    printf '%s\n' "$guest_dhcp"
  else
    echo "ip address add 10.99.0.2/24 dev eth0"
  fi
  cat <<'GUEST'
talk() { wget -q -O - "http://$1:8000/data" | sha256sum | cut -d ' ' -f 1; }
GUEST
  if [[ $what == killed ]]; then
    cat <<'GUEST'
echo "down $(talk 10.77.0.2)"
read -r _ </dev/hvc0
# Frames go nowhere, and nobody waits for them.
ping -c 3 -W 1 10.77.0.2 >/dev/null || echo "no answer"
GUEST
  else
    cat <<'GUEST'
echo "down $(talk 10.99.0.1)"
read -r word </dev/hvc0
[ "$word" != again ] || reboot -f
GUEST
  fi
} >"$scratch/guest"
guest_script <"$scratch/guest"
add_module "$kernel" xen-netfront
mkdir "$scratch/www"
head -c 1M /dev/urandom >"$scratch/www/data"
sum=$(sha256sum <"$scratch/www/data" | cut -d ' ' -f 1)
open_keys

if [[ $what == killed ]]; then
  make_uplink
  start --name net-life --net user <"$scratch/keys"
  busybox httpd -f -p 127.0.0.1:8000 -h "$scratch/www" &
  server=$!
  wait_for "$run/console" "^down"
  mapfile -t files < <(passts)
  ((${#files[@]} == 1)) || fail "there is not one passt"
  victim=${files[0]#/proc/}
  kill -KILL "${victim%/comm}"
  wait_for "$run/stderr" "has ended"
  type_line on
else
  start --name net-life --net tap,ifname=tap0 <"$scratch/keys"
  wait_interface tap0
  ip address add 10.99.0.1/24 dev tap0
  busybox httpd -f -p 10.99.0.1:8000 -h "$scratch/www" &
  server=$!
  wait_for "$run/console" "^down"
  type_line again
  wait_lines 2 "$run/console" "^down"
  type_line enough
fi
finish
kill "$server"
expect_status 0
[[ $(lines "$run/console" | grep '^down ' | sort -u) == "down $sum" ]] || fail "other bytes came"
# Always the same for the same name and place.
[[ $(lines "$run/console" | grep '^mac ' | sort -u | wc -l) == 1 ]] || fail "the MAC has changed"
expect "$run/console" "mac 00:16:3e:[0-9a-f:]+"
if [[ $what == killed ]]; then
  expect "$run/console" "no answer"
  expect_one_line "$run/stderr" \
    "dom1: net-life: network interface 0: user \(passt\) has ended: the guest has no network there any more"
else
  [[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
  [[ ! -e /sys/class/net/tap0 ]] || fail "the tap is left behind"
fi
