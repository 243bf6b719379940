#!/usr/bin/env bash
# fio writes and verifies a disk: random and sequential, past the page cache and through it, with flushes and discards, from
# every vCPU at once. What it read back is in the host's file too, and a byte that the host changes is found. The last number
# is that of vCPUs, and so of queues.
# variants: pvh-old-1 pvh-new-4 pv-old-2 pv-new-3
# long: pvh-old-1 pvh-new-4 pv-old-2 pv-new-3
# limit: 1200
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r type kernel vcpus <<<"$1"

# What each job does; all of them start with the options below. Every job has an area of its own.
cat >"$scratch/options" <<'JOBS'
[global]
thread
group_reporting=0
filename=/dev/xvda
allow_file_create=0
verify_fatal=1
verify_state_save=0
JOBS
cat >"$scratch/random" <<'JOBS'
[random-direct]
rw=randwrite
bs=4k
direct=1
ioengine=libaio
iodepth=32
offset=0
size=4m
verify=crc32c
JOBS
cat >"$scratch/others" <<'JOBS'
[sequential-direct]
stonewall
rw=write
bs=1m
direct=1
ioengine=libaio
iodepth=4
offset=4m
size=8m
verify=sha1

[sizes-direct]
stonewall
rw=randwrite
bsrange=512-256k
bs_unaligned=0
blockalign=512
direct=1
ioengine=libaio
iodepth=8
offset=20m
size=4m
verify=crc32c

[sequential-buffered]
stonewall
rw=write
bs=64k
ioengine=psync
end_fsync=1
offset=28m
size=8m
verify=crc32c

[random-flushed]
stonewall
rw=randwrite
bs=4k
ioengine=psync
fsync=16
offset=36m
size=1m
verify=crc32c

[read-and-write]
stonewall
rw=randrw
bs=16k
direct=1
ioengine=libaio
iodepth=16
offset=40m
size=4m
verify=crc32c

[discard]
stonewall
rw=randtrim
bs=64k
ioengine=psync
offset=44m
size=4m

[write-again]
stonewall
rw=randwrite
bs=64k
direct=1
ioengine=psync
offset=44m
size=2m
verify=crc32c

JOBS
for ((i = 0; i < vcpus; i++)); do
  echo
  printf '%s\n' "[vcpu-$i]"
  ((i)) || echo stonewall
  printf '%s\n' "cpus_allowed=$i" rw=randwrite bs=8k direct=1 ioengine=libaio iodepth=16 "offset=$((48 + 2 * i))m" size=2m verify=crc32c
done >"$scratch/vcpus"
expected=$((7 + vcpus))

guest_script <<'GUEST'
# As modprobe does, which looks into the kernel's command line.
# shellcheck disable=SC2046
insmod /xen-blkfront.ko $(tr ' ' '\n' </proc/cmdline | sed -n 's/^xen_blkfront\.//p')
until [ -b /dev/xvda ] && [ -b /dev/xvdz ]; do sleep 0.1; done
mkdir -p /tools /tmp
mount -t ext4 -o ro /dev/xvdz /tools
for folder in lib lib64 usr; do ln -s "/tools/$folder" "/$folder"; done
echo "queues $(find /sys/block/xvda/mq -mindepth 1 -maxdepth 1 -type d | wc -l)"
# run_jobs FILE [OPTION...]: name, error, KiB read and written of each job, as fio's manual page counts the fields.
run_jobs() {
  local file=$1 status=0
  shift
  /tools/bin/fio --eta=never --output=/said --output-format=terse "$@" "$file" 2>/errors || status=$?
  awk -F ';' '$1 == 3 { print "job " $3 " error " $5 " read " $6 " wrote " $47 }' /said
  [ "$status" = 0 ] || cat /said /errors
  echo "fio $status"
}
run_jobs /tools/all
awk '{ print "discards " $12 " flushes " $16 }' /sys/block/xvda/stat
sync
echo "all done"
read -r _ </dev/hvc0
# Past all caches: what the host has now.
run_jobs /tools/first --verify_only
GUEST
add_module "$kernel" xen-blkfront

stage_program "$scratch/tools" fio
cat "$scratch"/{options,random,others,vcpus} >"$scratch/tools/all"
cat "$scratch"/{options,random} >"$scratch/tools/first"
truncate -s 64M "$scratch/disk"
head -c 4M /dev/urandom | dd of="$scratch/disk" bs=1M seek=44 conv=notrunc status=none
open_keys
start --vcpus "$vcpus" --memory 384M --disk "$scratch/disk" --share "$scratch/tools" <"$scratch/keys"
console=$run/console
wait_for "$console" "^all done"
expect "$console" "queues $vcpus"
expect "$console" "fio 0"
(($(lines "$console" | grep -cE '^job [a-z0-9-]+ error 0 read [1-9][0-9]* wrote [1-9][0-9]*$') == expected)) ||
  fail "not each of the $expected jobs has read and written without an error"
expect "$console" "discards 64 flushes [1-9][0-9]+"

# The host's fio finds the same in the file, which has no discards of its own.
sed "/^\[discard\]/,/^\$/d; s,^filename=.*,filename=$scratch/disk,; s/^ioengine=.*/ioengine=psync/; /^cpus_allowed=/d" "$scratch/tools/all" >"$scratch/host"
fio --verify_only --output="$run/host-fio" "$scratch/host" || fail "what fio wrote is not in the file"
cmp -n $((2 << 20)) -i $((46 << 20)):0 "$scratch/disk" /dev/zero || fail "what was discarded is not zero"
# A byte of the first area, in the middle of one of its blocks.
printf '\377' >"$scratch/byte"
at=$((RANDOM % 1024 * 4096 + 2048))
! cmp -s -n 1 -i "$at:0" "$scratch/disk" "$scratch/byte" || printf '\376' >"$scratch/byte"
dd if="$scratch/byte" of="$scratch/disk" bs=1 seek="$at" conv=notrunc status=none
type_line verify
finish
expect_status 0
(($(lines "$console" | grep -cE '^fio [0-9]+$') == 2)) || fail "fio did not run twice"
expect "$console" "fio [1-9][0-9]*"
