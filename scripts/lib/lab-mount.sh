#!/bin/busybox sh
# shellcheck shell=dash
# Run by the agent when its order has come: the root that the command sees. The disks: first the
# base (tools, libraries, guests), second the payload (the project and what --with names).
set -e
export PATH=/bin
mkdir -p /base /payload
mount -t ext4 -o ro /dev/vda /base
mount -t ext4 -o ro /dev/vdb /payload
# Only lower layers: an overlay that cannot be written.
mount -t overlay -o ro,lowerdir=/payload:/base overlay /root
mount -o bind /proc /root/proc
mount -o bind /sys /root/sys
mount -o rbind /dev /root/dev
mount -t tmpfs -o mode=755 run /root/run
mkdir -m 1777 /root/run/lab-out
# The payload may have something under /tmp: it stays visible.
mkdir /kept
mount -o bind /root/tmp /kept
mount -t tmpfs -o mode=1777 tmp /root/tmp
for kept in /kept/* /kept/.[!.]*; do
  [ -e "$kept" ] || continue
  if [ -d "$kept" ]; then
    mkdir "/root/tmp/${kept##*/}"
  else
    : >"/root/tmp/${kept##*/}"
  fi
  mount -o bind "$kept" "/root/tmp/${kept##*/}"
done
