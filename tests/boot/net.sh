#!/usr/bin/env bash
# A guest and its host talk over a network interface: ping, and 64 MiB by TCP each way with the right sum. Over a tap with
# offloads and large frames, over passt with DHCP and a forwarded port, and between two guests joined by a socket.
# variants: tap-pvh-new-1-1500-4 tap-pv-old-1-1500-8 tap-pv-new-2-1500-8 tap-pvh-new-1-65520-64 tap-pvh-old-2-65520-64 user-pv-new user-pvh-old socket refused
# limit: 900
# long: tap-pv-old-1-1500-8 tap-pv-new-2-1500-8 tap-pvh-new-1-65520-64 tap-pvh-old-2-65520-64 user-pv-new user-pvh-old socket refused
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "$0")/lib/refused.sh"
# shellcheck source=tests/boot/lib/net.sh
source "$(dirname "$0")/lib/net.sh"

sum() {
  sha256sum | cut -d ' ' -f 1
}

over_tap() {
  local server listener console type kernel queues mtu mib
  IFS=- read -r _ type kernel queues mtu mib <<<"$1"
  guest_script <<'GUEST'
insmod /xen-netfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
read -r mtu </proc/cmdline
mtu=${mtu##*mtu=}
ip link set eth0 mtu "${mtu%% *}" up
ip address add 10.99.0.2/24 dev eth0
echo "mac $(cat /sys/class/net/eth0/address)"
echo "queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)"
echo "channels $(grep -c vif0-q /proc/interrupts)"
until ping -c 1 -W 1 10.99.0.1 >/dev/null; do :; done
ping -c 3 -s $((${mtu%% *} - 28)) 10.99.0.1 >/dev/null && echo "whole frames"
echo "down $(wget -q -O - http://10.99.0.1:8000/data | sha256sum | cut -d ' ' -f 1)"
dd if=/dev/urandom of=/up bs=1M count="$(sed 's/.*mib=\([0-9]*\).*/\1/' /proc/cmdline)" 2>/dev/null
echo "up $(sha256sum </up | cut -d ' ' -f 1)"
nc 10.99.0.1 8001 </up
read -r _ </dev/hvc0
cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/rx_dropped | tr '\n' ' '
echo "errors"
GUEST
  add_module "$kernel" xen-netfront

  mkdir "$scratch/www"
  head -c "${mib}M" /dev/urandom >"$scratch/www/data"
  open_keys
  start --vcpus "$queues" --memory 512M --net tap,ifname=tap0,mac=00:16:3e:01:02:03 \
    --append "console=hvc0 quiet dom1.nonce=$nonce mtu=$mtu mib=$mib" <"$scratch/keys"
  wait_interface tap0
  ip link set tap0 mtu "$mtu"
  ip address add 10.99.0.1/24 dev tap0
  busybox httpd -f -p 10.99.0.1:8000 -h "$scratch/www" &
  server=$!
  # Its input must not end: it would hang up.
  mkfifo "$scratch/silence"
  exec {silence}<>"$scratch/silence"
  busybox nc -l -p 8001 >"$scratch/up" <&"$silence" &
  listener=$!
  wait "$listener"
  type_line enough
  finish
  kill "$server"
  expect_status 0
  console=$run/console
  expect "$console" "mac 00:16:3e:01:02:03"
  expect "$console" "queues $queues"
  # One each way (feature-split-event-channels).
  expect "$console" "channels $((2 * queues))"
  expect "$console" "whole frames"
  expect "$console" "down $(sum <"$scratch/www/data")"
  expect "$console" "up $(sum <"$scratch/up")"
  expect "$console" "0 0 errors"
}

over_passt() {
  local server listener
  {
    cat <<'GUEST'
insmod /xen-netfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
ip link set lo up
ip link set eth0 up
GUEST
    printf '%s\n' "$guest_dhcp"
    cat <<'GUEST'
# The router's address is the host's own.
echo "down $(wget -q -O - http://10.77.0.2:8000/data | sha256sum | cut -d ' ' -f 1)"
echo "forwarded $((nonce + 7))" | nc -l -p 22
dd if=/dev/urandom of=/up bs=1M count=8 2>/dev/null
echo "up $(sha256sum </up | cut -d ' ' -f 1)"
nc 10.77.0.2 8001 </up
read -r _ </dev/hvc0
GUEST
  } >"$scratch/guest"
  guest_script <"$scratch/guest"
  add_module "$kernel" xen-netfront
  make_uplink
  mkdir "$scratch/www"
  head -c 8M /dev/urandom >"$scratch/www/data"
  open_keys
  mkfifo "$scratch/silence"
  exec {silence}<>"$scratch/silence"
  start --vcpus 2 --net user,hostfwd=tcp:127.0.0.1:2222-:22 <"$scratch/keys"
  busybox httpd -f -p 127.0.0.1:8000 -h "$scratch/www" &
  server=$!
  # Debian 12's passt resets what the guest has opened when nothing has come back for half a minute.
  echo begin >&"$silence"
  busybox nc -l -p 8001 >"$scratch/up" <&"$silence" &
  listener=$!
  wait_for "$run/console" "^down "
  # Debian 12's passt finishes the guest's handshake with the first bytes from here.
  local steps=0
  until { echo hello && sleep 2; } | timeout 20 busybox nc 127.0.0.1 2222 >"$scratch/forwarded" && [[ -s $scratch/forwarded ]]; do
    ((++steps < 10)) || fail "nobody answers at the forwarded port"
    sleep 1
  done
  wait "$listener"
  [[ $(passts | wc -l) == 1 ]] || fail "there is not one passt"
  type_line enough
  finish
  kill "$server"
  expect_status 0
  expect "$run/console" "dhcp 10.77.0.1 10.77.0.2 65520"
  expect "$run/console" "down $(sum <"$scratch/www/data")"
  expect "$run/console" "up $(sum <"$scratch/up")"
  expect "$scratch/forwarded" "forwarded $((nonce + 7))"
  [[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
  steps=0
  while [[ $(passts) ]]; do
    ((++steps < 50)) || fail "passt does not end"
    sleep 0.1
  done
}

# Two guests: the first listens, the second sends.
joined() {
  local first
  type=pvh kernel=new
  guest_script <<'GUEST'
insmod /xen-netfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
me=$(sed 's/.*me=\([0-9]\).*/\1/' /proc/cmdline)
ip link set eth0 mtu 9000 up
ip address add 10.98.0.$me/24 dev eth0
if [ "$me" = 1 ]; then
  echo listening
  echo "got $(nc -l -p 8001 </dev/hvc0 | sha256sum | cut -d ' ' -f 1)"
  read -r _ </dev/hvc0
else
  until ping -c 1 -W 1 10.98.0.1 >/dev/null; do :; done
  ping -c 3 -s 8900 10.98.0.1 >/dev/null && echo "whole frames"
  dd if=/dev/urandom of=/up bs=1M count=8 2>/dev/null
  echo "sent $(sha256sum </up | cut -d ' ' -f 1)"
  nc 10.98.0.1 8001 </up
fi
GUEST
  add_module new xen-netfront
  open_keys
  start --net "socket:$scratch/wire" --append "console=hvc0 quiet dom1.nonce=$nonce me=1" <"$scratch/keys"
  first=$pid
  local first_run=$run
  wait_for "$run/console" "^listening"
  start --net "socket:$scratch/wire" --append "console=hvc0 quiet dom1.nonce=$nonce me=2" </dev/null
  finish
  expect_status 0
  expect "$run/console" "whole frames"
  pid=$first
  wait_for "$first_run/stderr" "has ended"
  type_line enough
  finish
  expect_status 0
  expect "$first_run/console" "got $(lines "$run/console" | sed -n 's/^sent //p')"
  expect_one_line "$first_run/stderr" "dom1: .*: network interface 0: socket $scratch/wire has ended: waiting for another"
  [[ ! -e $scratch/wire ]] || fail "the socket is left behind"
}

refusals() {
  guest_shell
  mkdir "$scratch/empty"
  printf 'vif = [ "mac=00:16:3e:01:02:03" ]\n' >"$scratch/guest.cfg"
  refused 4 "bridge br7: there is none of this name: .*" --net bridge=br7
  refused 4 "bridge xenbr0: there is none of this name: .*" "$scratch/guest.cfg"
  refused 4 "tap lo: .*" --net tap,ifname=lo
  echo precious >"$scratch/file"
  refused 4 "$scratch: cannot connect as network socket: .*" --net "socket:$scratch"
  refused 4 "$scratch/file: cannot connect as network socket: .*" --net "socket:$scratch/file"
  expect "$scratch/file" precious
  refused 2 "--net: vif: tap,rate=1MB/s: dom1 limits no rates yet: .*" --net tap,rate=1MB/s
  refused 2 "--net: vif: .*hostfwd.*" --net user,hostfwd=tcp:22
}

case $1 in
  tap-*) over_tap "$1" ;;
  user-*)
    IFS=- read -r _ type kernel <<<"$1"
    over_passt
    ;;
  socket) joined ;;
  refused) refusals ;;
esac
