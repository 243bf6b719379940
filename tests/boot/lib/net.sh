# shellcheck shell=bash
# shellcheck disable=SC2034  # names for the tests
# What tests of networks share, beside test.sh.

# wait_interface NAME: on the host.
wait_interface() {
  local steps=0
  until [[ -e /sys/class/net/$1 ]]; do
    ((++steps < 100)) || fail "the host has no interface $1"
    sleep 0.1
  done
}

# An interface with a default route, from which passt takes what it tells the guest.
make_uplink() {
  # Another test's.
  [[ ! -e /sys/class/net/up0 ]] || return 0
  busybox tunctl -t up0 >/dev/null
  ip address add 10.77.0.1/24 dev up0
  ip link set up0 up
  ip route add default via 10.77.0.2
}

# passts: the processes of user networking.
passts() {
  grep -l '^passt' /proc/[0-9]*/comm 2>/dev/null || true
}

# DHCP in the guest: a script for its client, which says what it got.
guest_dhcp=$(
  cat <<'GUEST'
cat >/dhcp <<'DHCP'
[ "$1" = bound ] || exit 0
ip address add "$ip/24" dev "$interface"
ip route add default via "$router"
ip link set "$interface" mtu "$mtu"
mkdir -p /etc
[ -z "$dns" ] || echo "nameserver ${dns%% *}" >/etc/resolv.conf
echo "dhcp $ip $router $mtu"
DHCP
chmod +x /dhcp
udhcpc -i eth0 -n -q -O mtu -s /dhcp 2>/dev/null
GUEST
)
