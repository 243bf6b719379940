#!/usr/bin/env bash
# Real programs talk over a network interface: iperf3 both ways, curl both ways, over a tap with small and large frames and
# over passt. Over a tap, every frame that the host's kernel gets is looked at: its checksum is right, or rightly left to the
# kernel. Over passt, every frame of either direction that passt has captured: its checksum is right.
# variants: pvh-new-tap-1500 pvh-new-tap-65520 pv-old-tap-1500 pvh-new-user
# long: pvh-new-tap-1500 pvh-new-tap-65520 pv-old-tap-1500 pvh-new-user
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"
# shellcheck source=tests/boot/lib/net.sh
source "$(dirname "$0")/lib/net.sh"

IFS=- read -r type kernel net mtu <<<"$1"
mib=4
{
  cat <<'GUEST'
insmod /xen-netfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
mkdir -p /tmp /www
ip link set lo up
ip link set eth0 up
GUEST
  if [[ $net == user ]]; then
    printf '%s\n' "$guest_dhcp" 'host=10.77.0.2'
  else
    printf '%s\n' "ip link set eth0 mtu $mtu" "ip address add 10.99.0.2/24 dev eth0" 'host=10.99.0.1'
  fi
  cat <<GUEST
mib=$mib
GUEST
  cat <<'GUEST'
dd if=/dev/urandom of=/www/data bs=1M count=$mib 2>/dev/null
httpd -p 80 -h /www
iperf3 -s -D
echo "ready $(sha256sum </www/data | cut -d ' ' -f 1)"
read -r _ </dev/hvc0
curl -s -o /got "http://$host:8000/data" && echo "curl $(sha256sum </got | cut -d ' ' -f 1)"
# IP, TCP and UDP count what comes with a bad checksum.
awk '/^(Tcp|Udp|Ip):/ { if (names[$1] == "") names[$1] = $0; else { split(names[$1], name); for (i = 2; i <= NF; i++)
  if (name[i] ~ /InCsumErrors|InHdrErrors/) bad += $i } } END { print "bad " bad }' /proc/net/snmp
GUEST
} >"$scratch/guest"
guest_script <"$scratch/guest"
add_module "$kernel" xen-netfront
add_program iperf3
add_program curl
mkdir "$scratch/www"
head -c "${mib}M" /dev/urandom >"$scratch/www/data"

# The passt that dom1 finds writes down what goes through it. As nobody it could not, here.
capture_passt() {
  mkdir "$scratch/bin"
  printf '#!/bin/sh\nexec %q --runas 0 --pcap %q "$@"\n' "$(type -P passt)" "$scratch/capture" >"$scratch/bin/passt"
  chmod +x "$scratch/bin/passt"
  PATH=$scratch/bin:$PATH
}

open_keys
if [[ $net == user ]]; then
  make_uplink
  capture_passt
  start --vcpus 1 --net user,hostfwd=tcp:127.0.0.1:5201-:5201,hostfwd=tcp:127.0.0.1:8080-:80 <"$scratch/keys"
  guest=127.0.0.1 web=8080 here=127.0.0.1
else
  start --vcpus 1 --net tap,ifname=tap0 <"$scratch/keys"
  wait_interface tap0
  ip link set tap0 mtu "$mtu"
  ip address add 10.99.0.1/24 dev tap0
  mkfifo "$scratch/watching"
  "$tools/check-frames" tap0 <"$scratch/watching" >"$run/frames" &
  watcher=$!
  exec {watching}>"$scratch/watching"
  guest=10.99.0.2 web=80 here=10.99.0.1
fi
busybox httpd -f -p "$here:8000" -h "$scratch/www" &
server=$!
wait_for "$run/console" "^ready "

# received NAME: what iperf3 counted at the receiver's.
received() {
  sed -n '/"sum_received"/,/}/s/.*"bytes":[[:space:]]*\([0-9]*\).*/\1/p' "$run/$1" | head -n 1
}
for direction in "" -R; do
  for streams in 1 3; do
    name=iperf3$direction-$streams
    # shellcheck disable=SC2086  # there is one word, or none
    iperf3 -c "$guest" -n "${mib}M" -P "$streams" $direction -J >"$run/$name" || fail "$name: $(tail -c 300 "$run/$name")"
    (($(received "$name") > 0)) || fail "$name: nothing came through"
  done
done
curl -s -S -o "$scratch/got" "http://$guest:$web/data" || fail "curl cannot fetch from the guest"
type_line enough
finish
kill "$server"
expect_status 0
expect "$run/console" "ready $(sha256sum <"$scratch/got" | cut -d ' ' -f 1)"
expect "$run/console" "curl $(sha256sum <"$scratch/www/data" | cut -d ' ' -f 1)"
expect "$run/console" "bad 0"
if [[ $net == tap ]]; then
  exec {watching}>&-
  wait "$watcher" || fail "bad frames: $(head -n 3 "$run/frames")"
  expect "$run/frames" "frames [1-9][0-9]+ segments [1-9][0-9]* blank [1-9][0-9]+ bad 0"
fi
if [[ $net == user ]]; then
  "$tools/check-frames" --pcap "$scratch/capture" >"$run/frames" || fail "bad frames: $(head -n 3 "$run/frames")"
  expect "$run/frames" "frames [1-9][0-9]{2,} segments 0 blank 0 bad 0"
  # Other bytes in the middle of it are found.
  head -c 100 /dev/urandom | dd of="$scratch/capture" bs=1 seek=$(($(stat -c %s "$scratch/capture") / 2)) conv=notrunc status=none
  ! "$tools/check-frames" --pcap "$scratch/capture" >"$run/changed" || fail "what was changed is not found"
fi
