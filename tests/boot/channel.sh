#!/usr/bin/env bash
# A guest's consoles beside the first, and a folder of the host's: sums of all files come through hvc1, which goes to a
# file, byte for byte while the first console is full of noise; hvc2, a socket, is asked and answers, before and after a
# reboot of the guest.
# variants: pvh-old pvh-new pv-old pv-new refused
# long: pvh-new pv-old pv-new refused
# limit: 900
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "$0")/lib/refused.sh"

refusals() {
  guest_shell
  refused 2 "--channel: .*must be file:PATH, pty or socket:PATH" --channel stdio
  refused 2 "--channel=/nowhere/file: cannot write: No such file or directory" --channel file:/nowhere/file
  refused 2 "channel: socket /nowhere/socket: cannot open: .*" --channel socket:/nowhere/socket
  refused 2 "--share: .*label.*" --share "$scratch,label=a b"
  refused 4 "/nowhere: cannot share it: there is no such folder" --share /nowhere
  refused 4 "$DOM1_GUEST: cannot share it: there is no such folder" --share "$DOM1_GUEST"
}

if [[ $1 == refused ]]; then
  refusals
  exit 0
fi
IFS=- read -r type kernel <<<"$1"
guest_script <<'GUEST'
insmod /xen-blkfront.ko
until [ -c /dev/hvc1 ] && [ -c /dev/hvc2 ] && [ -b /dev/xvdy ] && [ -b /dev/xvdz ]; do sleep 0.1; done
# Bytes as they are: a terminal would make two of a line's end, and show what comes. It forgets that when it is closed.
exec 3<>/dev/hvc1 4<>/dev/hvc2
stty raw -echo <&3
stty raw -echo <&4
# What was sent before would have been shown.
echo ready >&4
mkdir -p /two
mount -t ext4 -o ro /dev/xvdz /mnt && mount -t ext4 -o ro /dev/xvdy /two
while :; do echo "noise of the first console"; done &
noise=$!
(cd /mnt && find . -type f -exec sha256sum {} + | sort) >&3
if touch /mnt/new 2>/dev/null || dd if=/dev/zero of=/dev/xvdz bs=512 count=1 2>/dev/null; then echo "written" >&3; fi
exec 3>&-
read -r question <&4
kill "$noise"
echo "answer $question $(cat /two/word)" >&4
read -r what <&4
[ "$what" != again ] || reboot -f
GUEST
add_module "$kernel" xen-blkfront

mkdir -p "$scratch/shared/deep/er" "$scratch/two"
for ((i = 0; i < 40; i++)); do
  head -c $((i * i * 500)) /dev/urandom >"$scratch/shared/deep/er/file $i"
done
echo "word-$nonce" >"$scratch/two/word"

start --channel "file:$scratch/result" --channel "socket:$scratch/asked" --share "$scratch/shared" \
  --share "$scratch/two,label=second" </dev/null
wait_for_socket() {
  local steps=0
  until [[ -S $scratch/asked ]]; do
    ((++steps < 100)) || fail "there is no socket"
    sleep 0.1
  done
}

# ask ROUND LAST: over a connection of its own, which ends when the guest is started again.
ask() {
  local line client
  coproc asked { "$tools/unix-client" "$scratch/asked"; }
  client=$!
  read -r -t "$DOM1_BOOT_LIMIT_S" line <&"${asked[0]}" || fail "round $1: the guest does not begin"
  [[ $line == ready ]] || fail "round $1: the guest begins with $line"
  printf 'round%s\n' "$1" >&"${asked[1]}"
  read -r -t "$DOM1_BOOT_LIMIT_S" line <&"${asked[0]}" || fail "no answer in round $1"
  [[ $line == "answer round$1 word-$nonce" ]] || fail "round $1: the answer is $line"
  printf '%s\n' "$2" >&"${asked[1]}"
  ! read -r -t "$DOM1_BOOT_LIMIT_S" line <&"${asked[0]}" || fail "round $1: something followed: $line"
  wait "$client" || true
}

wait_for_socket
ask 1 again
ask 2 enough
finish
expect_status 0
sums=$(cd "$scratch/shared" && find . -type f -exec sha256sum {} + | LC_ALL=C sort)
cmp "$scratch/result" <(printf '%s\n%s\n' "$sums" "$sums") || fail "hvc1 had other bytes than what the folder holds, twice"
expect "$run/console" "noise of the first console"
[[ ! -e $scratch/asked ]] || fail "the socket is left behind"
facts
tr -d ' \n' <"$run/report.json" | grep -q '"phase":"device_connected",[^}]*"device/console/1"' ||
  fail "the report has no connected console"
