#!/usr/bin/env bash
# Faults on purpose (docs/inject.md), each with a Linux that shows it. disk: requests fail and are slow. feature: what is not
# offered is not used. event: the console's events are lost and late, and the disk's come twice; events lost for good end in a
# timeout. xenstore: transactions are refused, answers are late. device: a disk and an interface vanish. balloon, time.
# variants: disk feature event lost xenstore device balloon time-pvh time-pv
# long: disk feature event lost xenstore device balloon time-pvh time-pv
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

type=pvh
truncate -s 16M "$scratch/disk"
printf 'beginning' | dd of="$scratch/disk" conv=notrunc status=none

# counted WORD: how often that was done, by the report.
counted() {
  sed -n "s/.*\"$1\" *: *\([0-9]*\).*/\1/p" "$run/report.json" | head -n 1
}

# happened WORD [NUMBER]: at least once, or so often.
happened() {
  local n
  n=$(counted "$1")
  if [[ ${2-} ]]; then
    [[ $n == "$2" ]] || fail "$1 is $n, not $2"
  else
    ((n > 0)) || fail "$1 is ${n:-missing}"
  fi
}

# with_disk: the guest's script is standard input; xvda is there when it runs.
with_disk() {
  {
    echo "insmod /xen-blkfront.ko"
    echo "i=0; while ! [ -b /dev/xvda ] && [ \$i -lt 300 ]; do usleep 100000; i=\$((i + 1)); done"
    cat
  } | guest_script
  add_module old xen-blkfront
}

case $1 in
  disk)
    # Reads of the partition table pass; then each read of the last MiB: the script makes 8, every second one of which fails.
    with_disk <<'GUEST'
good=0 bad=0
for i in 0 1 2 3 4 5 6 7 8 9; do
  if dd if=/dev/xvda of=/dev/null bs=4k count=1 skip=$((2048 + i * 64)) iflag=direct 2>/dd; then good=$((good + 1)); else bad=$((bad + 1)); fi
  grep -i "error" /dd && echo "said $((nonce + 1)): $(grep -ci 'Input/output error' /dd)"
done
echo "good $good bad $bad"
echo "write $(dd if=/dev/zero of=/dev/xvda bs=4k count=1 seek=3000 oflag=direct 2>/dev/null && echo passes)"
GUEST
    boot --disk "$scratch/disk" --inject "disk:vdev=xvda,op=read,error=EIO@0.5,seed=5" \
      --inject "disk:op=write,delay=300ms"
    expect_status 0
    grep -q "good [1-9][0-9]* bad [1-9]" "$run/console" || fail "not some of each: $(lines "$run/console" | tail -n 5)"
    expect "$run/console" "said $((nonce + 1)): 1"
    expect "$run/console" "write passes"
    happened requests_failed
    happened requests_delayed
    grep -q '"fault" *: *"disk:vdev=xvda,op=read,error=EIO@0.5,seed=5"' "$run/report.json" || fail "the fault is not in the report"
    grep -q '"seed" *: *"5"' "$run/report.json" || fail "no seed in the report"
    # The same seed, the same fate: as many of the guest's reads fail again.
    first=$(lines "$run/console" | grep '^good')
    boot --disk "$scratch/disk" --inject "disk:vdev=xvda,op=read,error=EIO@0.5,seed=5"
    [[ $(lines "$run/console" | grep '^good') == "$first" ]] || fail "not the same twice: $first"
    # Without a seed one is chosen, and told.
    boot --disk "$scratch/disk" --inject "disk:error=EIO@0.1,op=discard" --timeout 60
    grep -qE '^dom1: .*: --inject=disk:error=EIO@0.1,op=discard,seed=[0-9]+$' "$run/stderr" || fail "no seed: $(cat "$run/stderr")"
    # What cannot be is refused before anything starts.
    boot --inject "disk:eror=EIO"
    expect_status 2
    ;;
  feature)
    with_disk <<'GUEST'
back=$(xenstore read device/vbd/51712/backend)
echo "indirect $((nonce + 1)): $(xenstore read "$back/feature-max-indirect-segments" 2>/dev/null || echo none)"
echo "order: $(xenstore read "$back/max-ring-page-order")"
echo "queues: $(xenstore read "$back/multi-queue-max-queues") $(ls /sys/block/xvda/mq | wc -l)"
echo "flush: $(cat /sys/block/xvda/queue/write_cache)"
echo "segments: $(cat /sys/block/xvda/queue/max_segments)"
dd if=/dev/xvda of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null && echo "reads work"
insmod /xen-netfront.ko
i=0; while [ "$(xenstore read device/vif/0/state)" != 4 ] && [ $i -lt 300 ]; do usleep 100000; i=$((i + 1)); done
back=$(xenstore read device/vif/0/backend)
for f in sg gso-tcpv4 no-csum-offload split-event-channels; do echo "vif $f: $(xenstore read "$back/feature-$f" 2>/dev/null || echo none)"; done
echo "vif queues: $(ls -d /sys/class/net/eth0/queues/tx-* | wc -l), one event channel: $(xenstore read device/vif/0/event-channel >/dev/null && echo yes)"
GUEST
    add_module old xen-netfront
    boot --vcpus 2 --disk "$scratch/disk" --net "socket:$scratch/net" --inject "feature:no-indirect,no-flush,queues=1,ring-pages=1" \
      --inject feature:no-sg,no-gso,no-csum,no-split --trace hypercall,evtchn,grant,xenbus,xenstore --trace-log "$scratch/trace"
    expect_status 0
    expect "$run/console" "indirect $((nonce + 1)): none"
    expect "$run/console" "order: 0"
    expect "$run/console" "queues: 1 1"
    expect "$run/console" "flush: write through"
    expect "$run/console" "segments: 11"
    expect "$run/console" "reads work"
    for line in "sg: [0n].*" "gso-tcpv4: [0n].*" "no-csum-offload: 1" "split-event-channels: [0n].*" "queues: 1, one event channel: yes"; do
      expect "$run/console" "vif $line"
    done
    # What passed, by the traces: lines of JSON of each kind that was asked for, and of no other; the stamps of a vCPU's never go back.
    python3 - "$scratch/trace" >"$run/traces" <<'PYTHON'
import collections, json, sys

lines = [json.loads(line) for line in open(sys.argv[1])]
for vcpu in 0, 1:
    stamps = [line["t_ns"] for line in lines if line.get("vcpu") == vcpu]
    assert len(stamps) > 100 and stamps == sorted(stamps)
print(" ".join(sorted(collections.Counter(line["trace"] for line in lines))))
PYTHON
    expect "$run/traces" "evtchn grant hypercall xenbus xenstore"
    ;;
  event)
    with_disk <<'GUEST'
for i in 1 2 3 4 5 6 7 8; do
  dd if=/dev/xvda of=/dev/null bs=64k count=32 skip=$((i * 32)) iflag=direct 2>/dev/null || echo "failed $i"
done
echo "all read $((nonce * 3))"
GUEST
    boot --disk "$scratch/disk" --inject "event:duplicate=0.5,delay=1ms-5ms@0.5,ports=all,seed=3" </dev/null
    expect_status 0
    expect "$run/console" "all read $((nonce * 3))"
    refuse "$run/console" "^failed"
    happened events_duplicated
    happened events_delayed
    happened events_dropped 0
    ;;
  lost)
    # Nobody tells the guest that its read is done: a blkfront waits for ever, and the run ends as it was told to.
    with_disk <<'GUEST'
echo "reading $((nonce + 4))"
dd if=/dev/xvda of=/dev/null bs=64k count=1 iflag=direct
echo "read"
GUEST
    boot --disk "$scratch/disk" --timeout 90 --inject "event:drop=1,to=guest" --timeout-sysrq 9w \
      --append "console=hvc0 quiet sysrq_always_enabled dom1.nonce=$nonce"
    expect_status 124
    refuse "$run/console" "^read$"
    happened events_dropped
    # The last words: who waits, and where.
    lines "$run/console" | grep -q "Show Blocked State" || fail "no task dump: $(lines "$run/console" | tail -n 5)"
    lines "$run/console" | grep -qE "task:(xenwatch|insmod|dd)" || fail "no task in the dump: $(lines "$run/console" | tail -n 30)"
    ;;
  xenstore)
    with_disk <<'GUEST'
echo "disk $((nonce + 2)): $(blockdev --getsize64 /dev/xvda)"
GUEST
    boot --disk "$scratch/disk" --inject "xenstore:eagain=0.7,delay=1ms-30ms@0.5,seed=11"
    expect_status 0
    expect "$run/console" "disk $((nonce + 2)): 16777216"
    happened commits_refused
    happened answers_delayed
    ;;
  device)
    with_disk <<'GUEST'
dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && echo "before $((nonce + 5)): readable"
insmod /xen-netfront.ko
i=0; while [ -b /dev/xvda ] && dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && [ $i -lt 600 ]; do usleep 100000; i=$((i + 1)); done
echo "after: $(dd if=/dev/xvda of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && echo readable || echo gone)"
i=0; while [ "$(xenstore read "$(xenstore read device/vif/0/backend)/state")" = 4 ] && [ $i -lt 600 ]; do usleep 100000; i=$((i + 1)); done
echo "vif: $(xenstore read device/vif/0/state)"
GUEST
    add_module old xen-netfront
    boot --disk "$scratch/disk" --net "socket:$scratch/net" --inject "device:path=vbd/51712,vanish=60s" \
      --inject "device:path=vif/0,vanish=70s" --timeout 200
    expect_status 0
    expect "$run/console" "before $((nonce + 5)): readable"
    expect "$run/console" "after: gone"
    happened devices_vanished 2
    ;;
  balloon)
    guest_script <<'GUEST'
first=$(xenstore read memory/target)
echo "first $first"
i=0
while [ "$(xenstore read memory/target)" = "$first" ] && [ $i -lt 100 ]; do usleep 200000; i=$((i + 1)); done
[ "$(xenstore read memory/target)" = "$first" ] || moved=1
echo "moved ${moved-no} $((nonce + 6)): $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
GUEST
    boot --inject "balloon:low=200M,high=300M,every=3s,seed=1" --timeout 120
    expect_status 0
    lines "$run/console" | grep -q "^moved 1 $((nonce + 6)): " || fail "the target did not move"
    happened balloon_moves
    ;;
  time-*)
    type=${1#time-}
    guest_script <<'GUEST'
echo "before $((nonce + 7)) $(cut -d . -f 1 /proc/uptime)"
i=0
while [ "$(cut -d . -f 1 /proc/uptime)" -lt 3600 ] && [ $i -lt 600 ]; do usleep 100000; i=$((i + 1)); done
echo "after: $(cut -d . -f 1 /proc/uptime) $(date +%Y)"
# It goes on as before: sleeps end.
usleep 300000; echo "goes on"
GUEST
    boot --inject "time:jump=2h,at=${2:-20}s,count=1" --timeout 120
    expect_status 0
    lines "$run/console" | grep -qE "^after: 7[2-9][0-9]{2} " || fail "no jump: $(lines "$run/console" | tail -n 3)"
    expect "$run/console" "goes on"
    happened time_jumps 1
    ;;
esac
