#!/bin/busybox sh
# shellcheck shell=dash
# Init of the lab, from its initramfs: everything that does not depend on what is run.
# The agent then waits for its order; the payload disk is not touched before that.
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /root /lower /upper /tmp /run
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr

while read -r module; do
  insmod "/modules/$module" || echo "lab: module $module does not load"
done </modules/order
chmod 666 /dev/kvm

hostname lab
ip link set lo up
echo 1 >/proc/sys/kernel/printk_devkmsg 2>/dev/null
sysctl -qw user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 vm.overcommit_memory=1 2>/dev/null
for name in /sys/class/virtio-ports/*/name; do
  read -r port <"$name"
  name=${name%/name}
  ln -s "${name##*/}" "/dev/lab-$port"
done
exec lab-agent /dev/lab-control /dev/lab-stdin /dev/lab-stdout /dev/lab-stderr /dev/lab-files
