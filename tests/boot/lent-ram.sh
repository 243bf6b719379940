#!/usr/bin/env bash
# A PV Linux in the shim all of whose RAM is lent (--memory-lent): supplied page by page, also what it is loaded into, and taken
# back at random while it boots and works; the lender has less memory than the guest, and pages the rest to a file. What the
# guest has written must be there in the end, and its console and xenstore lose no event. R40 of docs/lending.md.
# variants: old-1 new-2 killed refused
# long: old-1 new-2 killed
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

# The least that the shim boots such a kernel in, and what the lender has for it: some five sixths.
memory_mib=208
frames=45000
if [[ $1 == new-* ]]; then
  memory_mib=336
  frames=72000
fi
# Each page that is supplied by itself is a mapping of the kernel's.
if [[ $(id -u) == 0 ]]; then
  mappings=$(</proc/sys/vm/max_map_count)
  trap 'echo "$mappings" >/proc/sys/vm/max_map_count' EXIT
  echo 262144 >/proc/sys/vm/max_map_count
fi

# start_lent: a guest of guest_script, with its lender. Sets $pid and $lender.
start_lent() {
  local steps=0
  socket=$scratch/ram.sock
  "$tools/lend-pager" "$socket" "$scratch/swap" "$frames" ram >"$out/lender" 2>&1 &
  lender=$!
  until [[ -S $socket ]]; do
    ((++steps < 100)) || fail "the lender does not listen: $(cat "$out/lender")"
    sleep 0.1
  done
  type=pv
  # Scrubbing would ask for each page once, for nothing.
  start --memory "${memory_mib}M" --memory-lent "$socket" --shim-append bootscrub=off "$@" <"$scratch/keys"
}

works() {
  kernel=$1
  guest_script <<'GUEST'
echo "up $nonce"
mkdir -p /tmp/w && mount -t tmpfs none /tmp/w
i=0
while [ $((i += 1)) -le 24 ]; do
  dd if=/dev/urandom of=/tmp/w/$i bs=64k count=8 2>/dev/null
  md5sum /tmp/w/$i >>/tmp/w/sums
  echo "wrote $i"
done
md5sum -c /tmp/w/sums | sed -n 's/.*: \(.*\)/\1/p' | sort | uniq -c | sed 's/^ */sums /'
echo "done $nonce"
GUEST
  open_keys
  start_lent --vcpus "$2"
  finish
  expect_status 0
  wait "$lender" || fail "the lender: $(cat "$out/lender")"
  expect "$run/console" "up $nonce"
  expect "$run/console" 'wrote 24'
  expect "$run/console" 'sums 24 OK'
  expect "$run/console" "done $nonce"
  local outs
  outs=$(tail -n 1 "$out/lender" | sed -n 's/.*paged out \([0-9]*\)$/\1/p')
  cat "$out/lender"
  ((outs > 1000)) || fail "only ${outs:-no} pages were paged out"
}

# The lender's death takes all memory back: the domain ends, and says why.
killed() {
  kernel=old
  guest_script <<'GUEST'
echo "up $nonce"
read -r line
GUEST
  open_keys
  start_lent
  wait_for "$run/console" "^up $nonce"
  kill -KILL "$lender"
  finish
  expect_status 34
  expect_words "$run/stderr" 'dom1: .*: crash: lend window 0: nothing was lent at 0x[0-9a-f]+ when the guest used it'
}

# is_refused WORDS OPTION...
is_refused() {
  local words=$1
  shift
  next_run
  status=0
  dom1 run --kernel "$guests/vmlinuz-old" --memory-lent "$scratch/none" "$@" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 2
  expect_one_line "$run/stderr" "dom1: --memory-lent: $words"
}

refused() {
  is_refused "$scratch/none: No such file or directory: is there a lender that listens[?]" --memory 208M
  is_refused "only the shim is known to need no memory of its own: use it with --type=pv" --type pvh
  is_refused "all memory is the lender's: --memory-backing has nothing to say" --memory-backing memfd
  is_refused "not with --disk, --share, --net, --channel, --inject or --core: they hold pages of the guest's RAM, which is another's" --core "$scratch/core"
  is_refused "all RAM must be below 4 GiB: use it with a smaller --memory" --memory 4G
}

case $1 in
  killed) killed ;;
  refused) refused ;;
  *) works "${1%-*}" "${1#*-}" ;;
esac
rm -f "$scratch/swap"
