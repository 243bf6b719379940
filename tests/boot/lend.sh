#!/usr/bin/env bash
# Memory is lent to a guest of ours, which does what its lender asks of it (tests/guest/abi/lend.h): each rule of
# docs/lending.md, with memory of each kind; hypercalls with arguments in lent memory; bad lenders; revokes under two vCPUs
# that use the pages in every way; dom1 lend; the ends of lender and domain; and an unmodified Linux that has lent memory at an
# address, as a PCI device's, and as /dev/pmem0.
# variants: rules-memfd rules-guest_memfd rules-file rules-dma-buf hypercalls bad-input stress-guest_memfd-300 stress-memfd-20000 stress-guest_memfd-20000 command ends toy linux pci-moves pci-old pci-new pmem-old pmem-new peers
# long: rules-file rules-dma-buf bad-input stress-memfd-20000 stress-guest_memfd-20000 command linux pci-moves pci-old pci-new pmem-old pmem-new peers
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

tool=$tools/lend-check
guest=${tools%/*}/guest/guest-abi-64

# start_guest: sets $pid, $name and $socket; returns when the guest has a window to look at.
start_guest() {
  next_run
  name=lend-$$-$runs
  socket=$XDG_RUNTIME_DIR/dom1/$name/lend.sock
  command=(dom1 run --type pvh --kernel "$guest" --memory 64M --vcpus 2 --timeout $((DOM1_BOOT_LIMIT_S - 60)) --append lend --name "$name"
    "--lend-window=64M,gpa=0xd0000000" "--lend-window=2M,gpa=0xe0000000" --report "$run/report.json")
  printf '%q ' "${command[@]}" >"$run/command"
  "${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
  pid=$!
  wait_for "$run/console" '^waiting for tasks'
}

# check KIND CASE [ARGUMENT...]: as a lender without rights, where we are root.
check() {
  start_guest
  local status=0 as=()
  if [[ $(id -u) == 0 && $1 != /* && $1 != guest_memfd && $1 != dma-buf ]]; then
    # Only the socket is needed: a descriptor's worth of authority. The folder is root's, so this user may pass it.
    chmod 755 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/dom1" "${socket%/*}" "${scratch%/*}" "$scratch"
    chmod 666 "$socket"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --no-new-privs)
    "${as[@]}" true 2>/dev/null || as=()
  fi
  timeout $((DOM1_BOOT_LIMIT_S - 60)) "${as[@]}" "$tool" "$socket" "$@" >"$run/lender" 2>&1 || status=$?
  cat "$run/lender"
  ((status == 0)) || fail "lend-check $*: status $status"
  finish
  expect_status 0
  expect "$run/console" 'Test result: SUCCESS'
}

# say LINE: to dom1 lend.
say() {
  printf '%s\n' "$1" >&"$commands"
}

# dom1 lend, with a file; the guest looks at its post all the time, which is zeros at first.
lend_command() {
  local kept=$scratch/post lender
  start_guest
  dom1 lend list "$name" >"$run/list"
  expect "$run/list" 'window 0: 0xd0000000, 64 MiB, free, on-fail zero'
  expect "$run/list" 'window 1: 0xe0000000, 2 MiB, free, on-fail zero'
  truncate -s 2M "$kept"
  mkfifo "$scratch/commands"
  exec {commands}<>"$scratch/commands"
  dom1 lend file "$name" "$kept" --window 1 <"$scratch/commands" >"$run/lender" 2>&1 &
  lender=$!
  wait_for "$run/lender" '^lent 0x0 0x200000'
  say hold
  say 'revoke 0x0 0x1000'
  wait_for "$run/lender" '^revoked 0x0 0x1000$'
  # vCPU 0 waits for its post now; so does the other one.
  wait_for "$run/lender" '^fault 0x0$'
  dom1 lend list "$name" >"$run/list2"
  grep -qE 'vCPUs waiting: [12]$' "$run/list2" || fail "nobody waits: $(cat "$run/list2")"
  # R28: what is lent is others', and nothing of it is saved.
  status=0
  dom1 save "$name" "$scratch/saved" >"$run/save" 2>&1 || status=$?
  [[ $status == 2 || $status == 3 || $status == 4 ]] || fail "dom1 save with windows: status $status"
  expect "$run/save" 'dom1: .*it has lend windows, and what they show is others.*'
  [[ ! -e $scratch/saved ]] || fail "there is a saved domain"
  # It can be paused and goes on; the page comes.
  dom1 pause "$name"
  say answer
  wait_for "$run/lender" '^supplied 0x0'
  dom1 unpause "$name"
  say 'revoke 0x10000 0x1'
  wait_for "$run/lender" '^error revoke'
  # A task for vCPU 0 in the file is a task for the guest: number 1, TASK_END (100).
  printf '\144' | dd of="$kept" bs=1 seek=16 conv=notrunc status=none
  printf '\1' | dd of="$kept" bs=1 conv=notrunc status=none
  finish
  expect_status 0
  wait "$lender" || fail "dom1 lend: status $?"
}

# Who dies, and what becomes of the others.
ends() {
  local lender
  start_guest
  truncate -s 2M "$scratch/post"
  # Both vCPUs wait for ever; the domain ends at once all the same.
  dom1 lend file "$name" "$scratch/post" --window 1 --at 0x1000 --offset 0x1000 </dev/null >"$run/lender" 2>&1 &
  lender=$!
  wait_for "$run/lender" '^lent'
  kill -KILL "$lender"
  wait "$lender" || true
  dom1 lend list "$name" >"$run/list"
  mkfifo "$scratch/commands"
  exec {commands}<>"$scratch/commands"
  dom1 lend file "$name" "$scratch/post" --window 1 --on-demand <"$scratch/commands" >"$run/lender2" 2>&1 &
  lender=$!
  wait_for "$run/lender2" '^window 1'
  say hold
  say 'revoke'
  wait_for "$run/lender2" '^fault 0x0'
  dom1 destroy "$name"
  finish
  expect_status 143
  wait "$lender" || fail "the lender was not told of the end: status $?"
  # A window whose policy is stop ends the domain when nobody lends.
  next_run
  status=0
  dom1 run --type pvh --kernel "$guest" --memory 64M --vcpus 1 --timeout 60 --append lend --name "stop-$$" \
    --lend-window 64M,gpa=0xd0000000 --lend-window 2M,gpa=0xe0000000,on-fail=stop --report "$run/report.json" \
    </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 34
  expect_words "$run/stderr" 'dom1: stop-[0-9]+: crash: lend window 1: nothing was lent at 0xe0000000 when the guest used it'
  # A PV guest is refused, with the reason.
  next_run
  status=0
  dom1 run --kernel "$guests/vmlinuz-old" --lend-window 2M </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 2
  expect_one_line "$run/stderr" 'dom1: --lend-window: the shim denies a PV guest all memory that is not RAM: use it with --type=pvh'
}

# An unmodified kernel uses lent memory as it uses any device's: by its address.
linux() {
  local lender
  guest_script <<'GUEST'
gpa=0x200000000
dmesg | sed -n 's/.*BIOS-e820: \[mem 0x0*\(2[0-9a-f]*-0x[0-9a-f]*\)\] \(.*\)/map \1 \2/p'
sed -n 's/^\([0-9a-f]*-[0-9a-f]*\) : Xen scratch/scratch \1/p' /proc/iomem
dmesg | sed -n 's/.*\(Grant table initialized\)/\1/p'
echo "read $(devmem $gpa 64)"
devmem $((gpa + 8)) 64 $((nonce * 7 + 3))
echo "again $(devmem $((gpa + 4096)) 64)"
echo "done"
until [ "$(devmem $((gpa + 16)) 64)" != 0x0000000000000000 ]; do sleep 0.1; done
echo "moved $(devmem $gpa 64)"
GUEST
  truncate -s 64M "$scratch/lent"
  printf '\1\2\3\4' | dd of="$scratch/lent" conv=notrunc status=none
  start_linux old 64M,gpa=0x200000000
  wait_for "$run/console" '^done'
  # The lender's file is on another page now: nobody tells the guest.
  say revoke
  wait_for "$run/lender" '^revoked 0x0 0x4000000'
  printf '\5\6' | dd of="$scratch/lent" conv=notrunc status=none
  printf '\1' | dd of="$scratch/lent" bs=1 seek=16 conv=notrunc status=none
  finish
  expect_status 0
  wait "$lender" || fail "dom1 lend: status $?"
  # Where this kernel puts what it maps from others keeps clear of the window.
  expect "$run/console" 'map 200000000-0x0000000203ffffff reserved'
  expect "$run/console" 'scratch 208000000-20fffffff'
  expect "$run/console" 'Grant table initialized'
  expect "$run/console" 'read 0x0000000004030201'
  expect "$run/console" 'again 0x0000000000000000'
  expect "$run/console" 'moved 0x0000000004030605'
  expect "$run/lender" 'fault 0x1000'
  [[ $(od -An -t u8 -j 8 -N 8 "$scratch/lent" | tr -d ' ') == $((nonce * 7 + 3)) ]] || fail "what the guest wrote is not in the file"
}

# start_lender OPTION: a guest that lends to the one that start_guest has started, and says so. Sets $lender.
start_lender() {
  lender_run=$run
  dom1 run --type pvh --kernel "$guest" --memory 64M --memory-backing memfd --timeout 300 --append "lend_to $1" \
    --name "lender-$$-$runs" --lend-to "$socket" </dev/null >"$run/lender-console" 2>"$run/lender-stderr" &
  lender=$!
  wait_for "$run/lender-console" '^lending'
}

# end_lender STATUS RESULT
end_lender() {
  local status=0
  wait "$lender" || status=$?
  cat "$lender_run/lender-console"
  ((status == $1)) || fail "the lender's status is $status: $(cat "$lender_run/lender-stderr")"
  [[ -z $2 ]] || expect "$lender_run/lender-console" "Test result: $2"
}

# Two guests, one of which lends its RAM to the other; and what becomes of each when the other ends.
peers() {
  # Nobody to lend to: the call is refused; and a connection that there is not.
  next_run
  dom1 run --type pvh --kernel "$guest" --memory 64M --append lend_to --timeout 60 </dev/null >"$run/console" 2>"$run/stderr" ||
    fail "status $?"
  expect "$run/console" 'Test result: SUCCESS'
  status=0
  dom1 run --type pvh --kernel "$guest" --memory-backing memfd --lend-to "$scratch/none.sock" </dev/null >"$run/console" 2>"$run/stderr" ||
    status=$?
  expect_status 2
  expect_words "$run/stderr" 'dom1: --lend-to: .*none.sock: No such file or directory: is there a domain with --lend-window[?]'
  mkfifo "$scratch/go"
  exec {go}<>"$scratch/go"
  start_guest
  "$tool" "$socket" memfd peer <"$scratch/go" >"$run/tool" 2>&1 &
  local hands=$! keeper
  wait_for "$run/tool" '^post'
  start_lender 0
  echo >&"$go"
  wait "$hands" || fail "lend-check: $(cat "$run/tool" "$run/lender-console")"
  cat "$run/tool"
  finish
  expect_status 0
  end_lender 0 SUCCESS
  # The borrower ends: its lender is told by each call. The second window is somebody's here, too.
  start_guest
  truncate -s 2M "$scratch/post"
  dom1 lend file "$name" "$scratch/post" --window 1 <"$scratch/go" >"$run/keeper" 2>&1 &
  keeper=$!
  wait_for "$run/keeper" '^lent'
  start_lender 1
  dom1 destroy "$name"
  finish
  expect_status 143
  wait "$keeper" || true
  end_lender 0 SUCCESS
  # The lender ends: all is taken back, and the window is free.
  start_guest
  dom1 lend file "$name" "$scratch/post" --window 1 <"$scratch/go" >"$run/keeper" 2>&1 &
  keeper=$!
  wait_for "$run/keeper" '^lent'
  start_lender 1
  dom1 lend list "$name" >"$run/list"
  ! grep -q 'window 0: .* free' "$run/list" || fail "the window is free: $(cat "$run/list")"
  dom1 destroy "lender-$$-$runs"
  end_lender 143 ''
  for ((i = 0; i < 100; i++)); do
    dom1 lend list "$name" >"$run/list"
    ! grep -q 'window 0: .* free' "$run/list" || break
    sleep 0.1
  done
  grep -q 'window 0: .* free' "$run/list" || fail "the window is not free: $(cat "$run/list")"
  dom1 destroy "$name"
  finish
  expect_status 143
  wait "$keeper" || true
}

# start_linux KERNEL WINDOW: the guest of guest_script, and a lender of $scratch/lent for its window; sets $pid and $lender.
start_linux() {
  local steps=0
  mkfifo "$scratch/commands"
  exec {commands}<>"$scratch/commands"
  open_keys
  type=pvh kernel=$1
  start --vcpus 2 --timeout 600 --name "lend-$$" --lend-window "$2" <"$scratch/keys"
  until dom1 lend list "lend-$$" >"$run/list" 2>/dev/null; do
    ((++steps < 100)) || fail "no lend.sock"
    sleep 0.1
  done
  dom1 lend file "lend-$$" "$scratch/lent" --on-demand <"$scratch/commands" >"$run/lender" 2>&1 &
  lender=$!
}

# A PCI device whose BAR is the window: the guest's kernel has no driver for it, and its programs map it.
pci() {
  local lender
  guest_script <<'GUEST'
d=/sys/bus/pci/devices/0000:00:01.0
ones=0xffffffffffffffff
echo "device $(cat $d/vendor) $(cat $d/device) $(cat $d/class) $(ls $d | grep -x driver)"
set -- $(head -n 1 $d/resource)
base=$1
# word OFFSET VALUE: a dword of the configuration space, as setpci would.
word() {
  printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $(($2 & 255)) $(($2 >> 8 & 255)) $(($2 >> 16 & 255)) $(($2 >> 24 & 255)))" |
    dd of=$d/config bs=4 seek=$(($1 / 4)) count=1 conv=notrunc 2>/dev/null
}
echo "off $(window $d/resource0 read 0)"
echo 1 >$d/enable
window $d/resource0 read 0 write 8 $((nonce * 7 + 3)) read 0x1000 | sed 's/^/on /'
echo "ready at $base"
window $d/resource0 await 16 1 | sed 's/^/moved /'
# Off and on, by the command register: what is lent stays lent.
word 4 0
window $d/resource0 write 24 5 read 0 | sed 's/^/disabled /'
word 4 2
window $d/resource0 read 24 read 8 | sed 's/^/enabled /'
word 16 $((base + 0x4000000))
echo "new place $(devmem $((base + 0x4000000 + 8)) 64)"
echo "old place $(window $d/resource0 read 8)"
# Outside of what the bridge passes on: over RAM.
word 20 0
word 16 0x1000000
echo "over RAM $(window $d/resource0 read 8)"
word 20 $((base >> 32))
word 16 $base
echo "back $(window $d/resource0 read 8)"
GUEST
  truncate -s 64M "$scratch/lent"
  printf '\1\2\3\4' | dd of="$scratch/lent" conv=notrunc status=none
  start_linux "$1" 64M,place=pci
  expect "$run/list" 'window 0: nowhere, 64 MiB, free, on-fail zero'
  wait_for "$run/console" '^ready at'
  dom1 lend list "lend-$$" >"$run/list2"
  local base
  base=$(lines "$run/console" | sed -n 's/^ready at 0x0*//p')
  expect "$run/list2" "window 0: 0x$base, 64 MiB, claimed, on-fail zero"
  say hold
  say revoke
  wait_for "$run/lender" '^revoked 0x0 0x4000000'
  wait_for "$run/lender" '^fault 0x0$'
  printf '\1' | dd of="$scratch/lent" bs=1 seek=16 conv=notrunc status=none
  say answer
  finish
  expect_status 0
  wait "$lender" || fail "dom1 lend: status $?"
  local value
  value=$(printf '0x%x' $((nonce * 7 + 3)))
  expect "$run/console" 'device 0x5853 0xff01 0x050000 '
  expect "$run/console" 'off read 0x0: 0xffffffffffffffff'
  expect "$run/console" 'on read 0x0: 0x4030201'
  expect "$run/console" 'on read 0x1000: 0x0'
  expect "$run/console" 'moved await 0x10: 0x1'
  expect "$run/console" 'disabled read 0x0: 0xffffffffffffffff'
  expect "$run/console" 'enabled read 0x18: 0x0'
  expect "$run/console" "enabled read 0x8: $value"
  expect "$run/console" "new place $(printf '0x%016X' $((nonce * 7 + 3)))"
  expect "$run/console" 'old place read 0x8: 0xffffffffffffffff'
  expect "$run/console" 'over RAM read 0x8: 0xffffffffffffffff'
  expect "$run/console" "back read 0x8: $value"
  [[ $(od -An -t u8 -j 8 -N 8 "$scratch/lent" | tr -d ' ') == $((nonce * 7 + 3)) ]] || fail "what the guest wrote is not in the file"
}

# /dev/pmem0 with a file system and DAX: the guest's programs have pages of the lender's file itself.
pmem() {
  local lender name
  guest_script <<'GUEST'
for name in $(cat /modules); do
  insmod "/$name" || echo "no $name"
done
steps=0
until [ -b /dev/pmem0 ] || [ $((steps += 1)) -gt 100 ]; do sleep 0.1; done
echo "bytes $(cat /sys/class/block/pmem0/size)"
mount -t ext4 -o dax /dev/pmem0 /mnt
sed -n 's/^\/dev\/pmem0 \/mnt ext4 .*\(dax[=a-z]*\).*/mounted \1/p' /proc/mounts
cat /mnt/from-host
echo "from the guest $nonce" >/mnt/from-guest
window /mnt/big write 0x100000 $nonce sum 0 0x200000 | sed 's/^/before /'
sync
echo "ready"
read -r line
window /mnt/big sum 0 0x200000 | sed 's/^/after /'
cat /mnt/from-guest
echo more >>/mnt/from-guest
umount /mnt && echo "unmounted"
sed -n 's/^ *[0-9]*: */interrupts /p' /proc/interrupts | grep virtio
GUEST
  mkdir -p "$scratch/modules" "$scratch/files"
  : >"$scratch/modules/modules"
  while read -r name; do
    case $name in
      virtio.ko | virtio_ring.ko | virtio_pci*.ko | libnvdimm.ko | nd_*.ko | virtio_pmem.ko)
        cp "$guests/modules-$1/$name" "$scratch/modules/"
        echo "$name" >>"$scratch/modules/modules"
        ;;
    esac
  done <"$guests/modules-$1/order"
  add_to_initrd "$scratch/modules"
  echo "from the host $nonce" >"$scratch/files/from-host"
  truncate -s 2M "$scratch/files/big"
  printf '\7' | dd of="$scratch/files/big" bs=1 seek=4096 conv=notrunc status=none
  truncate -s 64M "$scratch/lent"
  mke2fs -q -F -t ext4 -b 4096 -d "$scratch/files" "$scratch/lent"
  start_linux "$1" 64M,place=pmem
  wait_for "$run/console" '^ready'
  say revoke
  wait_for "$run/lender" '^revoked 0x0 0x4000000'
  local before
  before=$(grep -c '^fault' "$run/lender" || true)
  type_line go
  finish
  expect_status 0
  wait "$lender" || fail "dom1 lend: status $?"
  (($(grep -c '^fault' "$run/lender") > before)) || fail "nothing was asked for after the revoke"
  expect "$run/console" 'bytes 131072'
  expect "$run/console" 'mounted dax(=always)?'
  expect "$run/console" "from the host $nonce"
  expect "$run/console" "before sum 0x0: $(printf '0x%x' $((nonce + 7)))"
  expect "$run/console" "after sum 0x0: $(printf '0x%x' $((nonce + 7)))"
  expect "$run/console" "from the guest $nonce"
  expect "$run/console" 'unmounted'
  # The file system is whole, and has what the guest wrote.
  e2fsck -f -n "$scratch/lent" >"$run/fsck" 2>&1 || fail "the file system is not clean: $(tail -n 3 "$run/fsck")"
  debugfs -R 'cat /from-guest' "$scratch/lent" >"$run/from-guest" 2>/dev/null
  expect "$run/from-guest" "from the guest $nonce"
  expect "$run/from-guest" more
}

# A guest that moves its BARs under another vCPU's writes, and writes anything anywhere.
pci_moves() {
  next_run
  status=0
  dom1 run --type pvh --kernel "$guest" --memory 64M --vcpus 2 --timeout 200 --append pci --name "moves-$$" \
    --lend-window 4M,place=pci --lend-window 2M,place=pmem --report "$run/report.json" \
    </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 0
  expect "$run/console" 'Test result: SUCCESS'
}

# toy [deaf]: the same lender binary, with less memory than the guest uses, for a VM that is not dom1's.
toy() {
  local lender steps=0
  next_run
  "$tools/lend-pager" "$scratch/toy.sock" "$scratch/swap" 64 ram >"$run/lender" 2>&1 &
  lender=$!
  until [[ -S $scratch/toy.sock ]]; do
    ((++steps < 100)) || fail "the lender does not listen: $(cat "$run/lender")"
    sleep 0.1
  done
  status=0
  timeout 100 "$tools/lend-toy" "$scratch/toy.sock" "$@" >"$run/console" 2>"$run/stderr" || status=$?
  wait "$lender" || fail "the lender: $(cat "$run/lender")"
  rm -f "$scratch/toy.sock" "$scratch/swap"
  cat "$run/lender" "$run/console"
}

# R35: the interface is not Xen's, nor dom1's. Where nothing is really taken back, that guest sees it.
any_borrower() {
  toy
  expect_status 0
  expect "$run/console" 'rounds 12, mistakes 0, traps [0-9]+'
  local outs
  outs=$(tail -n 1 "$run/lender" | sed -n 's/.*paged out \([0-9]*\)$/\1/p')
  ((outs > 1000)) || fail "only ${outs:-no} pages were paged out"
  toy deaf
  expect_status 1
  expect "$run/console" 'rounds 12, mistakes [1-9][0-9]*, traps [0-9]+'
}

case $1 in
  peers) peers ;;
  toy) any_borrower ;;
  pci-moves) pci_moves ;;
  pci-*) pci "${1#*-}" ;;
  pmem-*) pmem "${1#*-}" ;;
  linux) linux ;;
  rules-file) check "$scratch/lent" rules ;;
  rules-*) check "${1#*-}" rules ;;
  stress-*)
    IFS=- read -r _ kind count parts <<<"$1"
    check "$kind" stress "$count" 2 "${parts:-1}"
    ;;
  command) lend_command ;;
  ends) ends ;;
  *) check memfd "$1" ;;
esac
