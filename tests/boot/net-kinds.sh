#!/usr/bin/env bash
# Where a network interface may lead to: into a bridge of the host's, by xl's vif=; to a tap that somebody else has made, with
# a queue for each vCPU; nowhere, whatever the file says; user networking to the name server that the host uses. And what four of them take of the host's memory: 512 KiB each at most.
# variants: bridge tap none dns memory
# long: bridge tap none dns memory
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"
# shellcheck source=tests/boot/lib/net.sh
source "$(dirname "$0")/lib/net.sh"

type=pvh kernel=new
if [[ $1 == memory ]]; then
  guest_script <<'GUEST'
insmod /xen-netfront.ko
wanted=$(sed -n 's/.*nets=\([0-9]*\).*/\1/p' /proc/cmdline)
i=0
while [ "$i" -lt "$wanted" ]; do
  until [ -e "/sys/class/net/eth$i" ]; do sleep 0.1; done
  ip link set "eth$i" mtu 65520 up
  ip address add "10.95.$i.2/24" dev "eth$i"
  until ping -c 1 -W 1 "10.95.$i.1" >/dev/null; do :; done
  ping -c 4 -s 65000 "10.95.$i.1" >/dev/null && echo "talked"
  i=$((i + 1))
done
GUEST
elif [[ $1 == dns ]]; then
  {
    printf '%s\n' 'insmod /xen-netfront.ko' 'until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done' 'ip link set eth0 up' "$guest_dhcp"
    # shellcheck disable=SC2016  # the guest's
    printf '%s\n' 'cat /etc/resolv.conf' 'nslookup -type=a "name$nonce.lab" | grep "^Address:.*10.1.2.3" && echo "resolved"'
  } >"$scratch/guest"
  guest_script <"$scratch/guest"
else
  guest_script <<'GUEST'
insmod /xen-netfront.ko
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e /sys/class/net/eth0 ] || sleep 0.3; done
echo "interfaces $(ls /sys/class/net | tr '\n' ' ')"
[ -e /sys/class/net/eth0 ] || exit
mtu=$(sed -n 's/.*mtu=\([0-9]*\).*/\1/p' /proc/cmdline)
ip link set eth0 mtu "$mtu" up
ip address add 10.96.0.2/24 dev eth0
echo "mac $(cat /sys/class/net/eth0/address)"
echo "queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)"
until ping -c 1 -W 1 10.96.0.1 >/dev/null; do :; done
ping -c 3 -s $((mtu - 28)) 10.96.0.1 >/dev/null && echo "whole frames"
wget -q -O /got http://10.96.0.1:8000/data
echo "down $(sha256sum </got | cut -d ' ' -f 1)"
GUEST
fi
add_module new xen-netfront

# A driver that the host's kernel has not loaded yet.
make_bridge() {
  local module
  for module in llc stp bridge; do
    [[ -e /sys/module/$module || ! -e $guests/modules-new/$module.ko ]] || insmod "$guests/modules-new/$module.ko" || true
  done
  ip link add br7 type bridge || fail "this host makes no bridges"
  ip link set br7 mtu "$1" up
  ip address add 10.96.0.1/24 dev br7
}

serve() {
  mkdir "$scratch/www"
  head -c 1M /dev/urandom >"$scratch/www/data"
  busybox httpd -f -p 10.96.0.1:8000 -h "$scratch/www" &
  server=$!
}

expect_talk() {
  kill "$server"
  expect_status 0
  expect "$run/console" "whole frames"
  expect "$run/console" "down $(sha256sum <"$scratch/www/data" | cut -d ' ' -f 1)"
  [[ ! -s $run/stderr ]] || fail "something was said: $(head -n 1 "$run/stderr")"
}

# What the machine had of its own at most, besides the guest's RAM.
peak_kib() {
  tr -d ' \n' <"$run/report.json" | sed 's/.*"peak_private_kib":\([0-9]*\).*/\1/'
}

case $1 in
  bridge)
    make_bridge 4000
    serve
    printf 'vif = [ "bridge=br7,mac=00:16:3e:0a:0b:0c" ]\n' >"$scratch/guest.cfg"
    start "$scratch/guest.cfg" --append "console=hvc0 quiet mtu=4000" </dev/null
    wait_for "$run/console" "^queues"
    port=(/sys/class/net/br7/brif/dom1-*)
    [[ -e ${port[0]} ]] || fail "nothing is in the bridge"
    finish
    expect_talk
    expect "$run/console" "mac 00:16:3e:0a:0b:0c"
    [[ ! -e /sys/class/net/${port[0]##*/} ]] || fail "the tap is left behind"
    ip link del br7
    ;;
  tap)
    ip tuntap add dev tap7 mode tap multi_queue
    ip address add 10.96.0.1/24 dev tap7
    ip link set tap7 up
    serve
    start --vcpus 2 --net tap,ifname=tap7 --append "console=hvc0 quiet mtu=1500" </dev/null
    finish
    expect_talk
    expect "$run/console" "queues 2"
    [[ -e /sys/class/net/tap7 ]] || fail "the tap is gone, which is not ours"
    ip link del tap7
    ;;
  none)
    printf 'vif = [ "bridge=br7" ]\n' >"$scratch/guest.cfg"
    start "$scratch/guest.cfg" --net none --append "console=hvc0 quiet" </dev/null
    finish
    expect_status 0
    expect "$run/console" "interfaces lo "
    ;;
  dns)
    make_uplink
    cp -r /etc "$scratch/etc"
    rm -f "$scratch/etc/resolv.conf"
    echo "nameserver 127.0.0.1" >"$scratch/etc/resolv.conf"
    mount --bind "$scratch/etc" /etc
    trap 'umount /etc' EXIT
    ip link set lo up
    "$tools/name-server" "name$nonce.lab" 10.1.2.3 &
    server=$!
    boot --net user </dev/null
    kill "$server"
    expect_status 0
    # A name server on the host's own address is reached at the router's.
    expect "$run/console" "nameserver 10.77.0.2"
    expect "$run/console" "resolved"
    ;;
  memory)
    boot --net none --append "console=hvc0 quiet nets=0" </dev/null
    expect_status 0
    without_kib=$(peak_kib)
    nets=()
    for i in 0 1 2 3; do
      nets+=(--net "tap,ifname=mem$i")
    done
    start --vcpus 2 "${nets[@]}" --append "console=hvc0 quiet nets=4" </dev/null
    for i in 0 1 2 3; do
      wait_interface "mem$i"
      ip link set "mem$i" mtu 65520
      ip address add "10.95.$i.1/24" dev "mem$i"
    done
    finish
    expect_status 0
    [[ $(lines "$run/console" | grep -c talked) == 4 ]] || fail "not all of them have talked"
    each_kib=$((($(peak_kib) - without_kib) / 4))
    echo "each takes $each_kib KiB"
    ((each_kib <= 512)) || fail "an interface takes $each_kib KiB"
    ;;
esac
