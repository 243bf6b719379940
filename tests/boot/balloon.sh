#!/usr/bin/env bash
# A guest's memory goes back to the host when its balloon grows, and is there again when it shrinks.
# variants: pvh-old pvh-new pv-old pv-new pvh-old-memfd pvh-old-guest_memfd
# long: pvh-old pvh-new pv-old pv-new pvh-old-memfd pvh-old-guest_memfd
# limit: 600
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r type kernel backing <<<"$1"
# Little, as filling it takes most of the time; the shim cannot build a guest in less.
mib=256
[[ $type == pvh ]] || mib=384
down=$((80 * 1024))
# On demand it writes to most of its memory, so that the host has to have it, and frees it again.
guest_script <<'GUEST'
kib() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }
done=
while :; do
  word=$(xenstore read control/word 2>/dev/null)
  xenstore write data/total "$(kib MemTotal)"
  case $word in
    end) break ;;
    fill*)
      if [ "$word" != "$done" ]; then
        free=$(kib MemFree)
        mount -t tmpfs -o size=95% tmpfs /mnt
        dd if=/dev/zero of=/mnt/file bs=64k count=$((free * 8 / 10 / 64)) 2>/dev/null
        bytes=$(wc -c </mnt/file)
        umount /mnt
        done=$word
        xenstore write data/filled "$word $((bytes / 1024))"
      fi
      ;;
  esac
  sleep 0.3
done
GUEST
next_run
name=balloon-$$
command=(dom1 run --type "$type" --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --name "$name"
  --append "console=hvc0 quiet dom1.nonce=$nonce" --memory "${mib}M"
  --memory-backing "${backing:-anonymous}" --report "$run/report.json" --timeout 580)
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
pid=$!

# read_node PATH
read_node() {
  dom1 xenstore "$name" read "$1" 2>/dev/null || true
}

# until COMMAND...: it succeeds; else the test fails with what is measured.
until_true() {
  local i
  for ((i = 0; i < 400; i++)); do
    ! "$@" || return 0
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended early: $(head -n 1 "$run/stderr")"
    sleep 0.2
  done
  fail "$* never came true: RSS $(rss_kib) KiB, MemTotal $(read_node data/total) KiB, target $(read_node memory/target) KiB"
}

# Of the guest's RAM: what is large and can be written to. The kernel's file is mapped too.
rss_kib() {
  awk '/^[0-9a-f]+-/ { writable = $2 ~ /^rw/ } /^Size:/ { large = $2 >= 16384 } /^Rss:/ { if (writable && large) sum += $2 }
    END { print sum + 0 }' "/proc/$machine/smaps"
}

is_up() {
  [[ $(read_node data/total) ]]
}

fill() {
  dom1 xenstore "$name" write control/word "fill $1"
  until_true filled "$1"
}

filled() {
  [[ $(read_node data/filled) == "fill $1 "* ]]
}

total_is() {
  local total
  total=$(read_node data/total)
  [[ $total ]] && (($1 - 2048 <= total && total <= $1 + 2048))
}

rss_at_most() {
  (($(rss_kib) <= $1))
}

until_true is_up
machine=$(machine_of "$pid")
fill 1
total=$(read_node data/total)
target=$(read_node memory/target)
most=$(read_node memory/static-max)
full=$(rss_kib)
((full > mib * 1024 / 2)) || fail "the guest wrote to its memory, and the host has only $full KiB of it"
# Nothing was asked: then the balloon asks for nothing either, and the guest is at its target.
((target == most)) || fail "target $target is not static-max $most at start"

# Down: from the guest to the host.
dom1 balloon "$name" "$((target - down))K"
[[ $(read_node memory/target) == $((target - down)) ]] || fail "memory/target is not what was asked for"
until_true total_is "$((total - down))"
until_true rss_at_most "$((full - down + 8 * 1024))"
# It stays so, whatever the guest does with what it has.
fill 2
total_is "$((total - down))" || fail "the guest has $(read_node data/total) KiB after it used its memory"
# Also pages that it had never used before.
rss_at_most "$((mib * 1024 - down + 2 * 1024))" || fail "the host has $(rss_kib) KiB after the guest used its memory"
low=$(rss_kib)

# Up again: the guest has and uses it.
dom1 balloon "$name" max
until_true total_is "$total"
fill 3
again=$(rss_kib)
((again > low + down / 2)) || fail "the guest has its memory again and uses it, and the host has $again KiB after $low"
echo "RSS: full $full KiB, $down KiB ballooned out $low KiB, back in and used $again KiB"

status=0
dom1 balloon "$name" "$((most + 1024))K" 2>"$out/refused" || status=$?
expect_status 2
expect_one_line "$out/refused" "dom1: balloon: .*"
dom1 xenstore "$name" write control/word end
finish
expect_status 0
refuse "$run/console" "WARNING|BUG|Call Trace"
