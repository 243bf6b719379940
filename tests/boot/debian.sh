#!/usr/bin/env bash
# Debian from a disk: systemd boots from xvda to a login prompt; root logs in, installs a package through the user network,
# which apt fetches from this host, and reboots; the package is there, the file system clean; and clean for the host too.
# variants: pv-old pvh-old pvh-new
# long: pv-old pvh-old pvh-new
# needs: debian-root
# limit: 2400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"
# shellcheck source=tests/boot/lib/net.sh
source "$(dirname "$0")/lib/net.sh"

IFS=- read -r type kernel <<<"$1"
debian=$DOM1_DEBIAN_ROOT
[[ -e $debian/image ]] || fail "there is no $debian/image: scripts/test makes it"

# As an initramfs of Debian's does: the drivers, the root, its init.
mkdir "$scratch/tree"
cat >"$scratch/tree/init" <<'GUEST'
#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
# As modprobe does, which looks into the kernel's command line.
# shellcheck disable=SC2046
insmod /xen-blkfront.ko $(tr ' ' '\n' </proc/cmdline | sed -n 's/^xen_blkfront\.//p')
insmod /xen-netfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
mkdir -p /root
mount -t ext4 -o ro /dev/xvda /root
mount -o move /dev /root/dev
umount /proc
exec switch_root /root /sbin/init
GUEST
chmod 755 "$scratch/tree/init"
cp "$DOM1_GUEST" "$scratch/initrd"
add_to_initrd "$scratch/tree"
add_module "$kernel" xen-blkfront
add_module "$kernel" xen-netfront

cp --sparse=always "$debian/image" "$scratch/root"
make_uplink
ip link set lo up
# passt's router is this host's own loopback.
busybox httpd -f -p 127.0.0.1:8000 -h "$debian/archive" &
server=$!
open_keys
# Debian's own updates would take apt's locks.
start --memory 384M --append "console=hvc0 quiet systemd.mask=apt-daily.timer systemd.mask=apt-daily-upgrade.timer" --disk "$scratch/root" --net user <"$scratch/keys"
console=$run/console

# ask COMMAND REGEX: types it at the prompt of root, and waits for a line that is no echo of it.
ask() {
  type_line "$1"
  wait_for "$console" "^$2\$"
}

# log_in TIMES: at the prompt that comes after so many boots.
log_in() {
  wait_lines "$1" "$console" "^guest login: "
  type_line root
  wait_lines "$1" "$console" "permitted by applicable law"
  # The shell's sequences for a terminal would stand before each line of output.
  type_line "nonce=$nonce"
  type_line "bind 'set enable-bracketed-paste off'"
  ask "echo \"shell $1 \$((nonce * 2))\"" "shell $1 $((nonce * 2))"
}

log_in 1
ask "echo \"system \$(systemctl is-system-running --wait) \$((nonce + 1))\"" "system [a-z]+ $((nonce + 1))"
expect "$console" "system running $((nonce + 1))"
ask "! hello && echo \"nothing says \$((nonce + 2))\"" "nothing says $((nonce + 2))"
ask "/lib/systemd/systemd-networkd-wait-online --timeout=100 && echo \"online \$((nonce + 3))\"" "online $((nonce + 3))"
type_line "echo 'deb [trusted=yes] http://10.77.0.2:8000 ./' >/etc/apt/sources.list"
ask "apt-get -q update && apt-get -qy install hello; hello -g \"says \$((nonce + 4))\"" "says $((nonce + 4))"
type_line reboot
log_in 2
ask "hello -g \"again \$((nonce + 5))\"" "again $((nonce + 5))"
ask "journalctl -b -o cat -u systemd-fsck-root | sed -n 's/.*: \\(clean\\), .*/fsck \\1 '\$((nonce + 6))/p" "fsck clean $((nonce + 6))"
type_line poweroff
finish
kill "$server"
expect_status 0
facts
expect "$run/facts" "restarts 1"
refuse "$console" "WARNING:|BUG:|Call Trace|EXT4-fs error|I/O error"

# What the host finds.
e2fsck -fn "$scratch/root" >"$run/e2fsck" 2>&1 || fail "e2fsck finds faults in what Debian left"
debugfs -R "cat /var/lib/dpkg/status" "$scratch/root" 2>/dev/null >"$scratch/status"
grep -A 1 -x "Package: hello" "$scratch/status" | grep -qx "Status: install ok installed" || fail "hello is not installed on the image"
