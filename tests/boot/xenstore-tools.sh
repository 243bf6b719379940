#!/usr/bin/env bash
# Debian's xenstore-utils, unchanged, on a running domain's xenstore.sock.
# limit: 180
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

for tool in ls read write rm chmod watch exists list; do
  command -v "xenstore-$tool" >/dev/null || fail "there is no xenstore-$tool here: install xenstore-utils, and let the lab have it"
done

guest_script <<'GUEST'
xenstore write data/mark "ready $nonce"
until [ "$(xenstore read control/word 2>/dev/null)" = "$nonce" ]; do sleep 0.2; done
xenstore write data/from-guest "heard $((nonce + 1))"
xenstore read control/hidden >/dev/null 2>&1 && xenstore write data/peeked yes
until xenstore read control/end >/dev/null 2>&1; do sleep 0.2; done
GUEST
next_run
command=(dom1 run --type pvh --kernel "$guests/vmlinuz-old" --initrd "$scratch/initrd" --name "tools-$$"
  --append "console=hvc0 quiet dom1.nonce=$nonce" --report "$run/report.json" --timeout 170)
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" &
pid=$!
XENSTORED_PATH=$XDG_RUNTIME_DIR/dom1/tools-$$/xenstore.sock
export XENSTORED_PATH
home=/local/domain/1

# says EXPECTED COMMAND...: exactly that, sooner or later.
says() {
  local expected=$1 i got=
  shift
  for ((i = 0; i < 600; i++)); do
    got=$("$@" 2>/dev/null) && [[ $got == "$expected" ]] && return
    sleep 0.2
  done
  fail "$* says '$got', not '$expected'"
}

# fails COMMAND...: with a status of its own, not by a signal, and with a word on standard error.
fails() {
  local result=0
  "$@" >"$out/refused" 2>&1 || result=$?
  ((result == 1)) || fail "$*: status $result: $(head -n 1 "$out/refused")"
}

says "ready $nonce" xenstore-read $home/data/mark

# read: one path and several, and a missing one.
[[ $(xenstore-read $home/name) == "tools-$$" ]] || fail "xenstore-read name"
[[ $(xenstore-read $home/name $home/domid) == "tools-$$"$'\n1' ]] || fail "xenstore-read of two paths"
fails xenstore-read $home/no-such-node
# The prefix of -p, and raw bytes.
[[ $(xenstore-read -p $home/domid) == "$home/domid: 1" ]] || fail "xenstore-read -p: $(xenstore-read -p $home/domid)"

# list: names in order of the alphabet, as xenstored's tree has them.
[[ $(xenstore-list $home | sort | tr '\n' ' ') == *"console control cpu data "* ]] || fail "xenstore-list: $(xenstore-list $home)"
[[ $(xenstore-list -p $home/cpu) == "$home/cpu/0" ]] || fail "xenstore-list -p: $(xenstore-list -p $home/cpu)"
fails xenstore-list $home/no-such-node

# exists
xenstore-exists $home/domid || fail "xenstore-exists does not find domid"
fails xenstore-exists $home/no-such-node

# ls: the tree indented, and full paths with permissions. The guest's own nodes belong to it.
xenstore-ls $home >"$out/ls"
expect "$out/ls" "name = \"tools-$$\".*"
expect "$out/ls" '  availability = "online".*'
xenstore-ls -f -p >"$out/ls-f"
expect "$out/ls-f" "$home/name = \"tools-$$\"   \(n0,r1\)"
expect "$out/ls-f" "$home/data = \"\"   \(n1\)"
expect "$out/ls-f" "$home/cpu/0/availability = \"online\"   .*"
expect "$out/ls-f" "/local/domain/0/name = \"Domain-0\"   .*"
# Both show each node once, and the same ones.
[[ $(sed 's/ = .*//' "$out/ls-f" | sort | uniq -d) == "" ]] || fail "xenstore-ls -f shows a node twice"
[[ $(grep -c "^$home/" "$out/ls-f") == "$(wc -l <"$out/ls")" ]] || fail "xenstore-ls and xenstore-ls -f differ"

# write: a new node with its parents, several at once, and bytes that are shown escaped.
xenstore-write /tool/test/a 1 /tool/test/b "two words"
[[ $(xenstore-read /tool/test/a /tool/test/b) == $'1\ntwo words' ]] || fail "xenstore-write of two nodes"
# shellcheck disable=SC1003  # a backslash at the end
xenstore-write /tool/test/bytes 'tab\tand \\'
[[ $(xenstore-read -R /tool/test/bytes) == $'tab\tand \\' ]] || fail "raw bytes do not come back"
# shellcheck disable=SC1003
[[ $(xenstore-read /tool/test/bytes) == 'tab\tand \\' ]] || fail "bytes are not escaped: $(xenstore-read /tool/test/bytes)"
fails xenstore-write "/bad path!" x
fails xenstore-write /tool/test/a

# A big value is the biggest the protocol carries, and one more is refused.
big=$(head -c 2000 /dev/zero | tr '\0' x)
xenstore-write /tool/test/big "$big"
[[ $(xenstore-read /tool/test/big) == "$big" ]] || fail "2000 bytes do not come back"
fails xenstore-write /tool/test/big "$big$big$big"

# watch: the path itself first, then each change below; -n ends it after so many.
xenstore-watch -n 4 /tool/watched >"$out/watch" &
watcher=$!
for ((i = 0; i < 100; i++)); do
  [[ ! -s $out/watch ]] || break
  sleep 0.1
done
xenstore-write /tool/watched/x 1
xenstore-write /tool/watched/y 2
xenstore-write /tool/unwatched 3
xenstore-rm /tool/watched
wait "$watcher" || fail "xenstore-watch: status $?"
[[ $(tr '\n' ' ' <"$out/watch") == "/tool/watched /tool/watched/x /tool/watched/y /tool/watched " ]] ||
  fail "xenstore-watch saw: $(tr '\n' ' ' <"$out/watch")"
# A write of the guest's is seen as well.
xenstore-watch -n 2 $home/data/from-guest >"$out/watch-guest" &
watcher=$!

# chmod: the guest may not read what is hidden from it, and may what is shown.
xenstore-write $home/control/hidden secret
xenstore-chmod $home/control/hidden n0
xenstore-write $home/control/word "$nonce"
wait "$watcher" || fail "xenstore-watch: status $?"
says "heard $((nonce + 1))" xenstore-read $home/data/from-guest
xenstore-ls -f -p $home/control >"$out/ls-control"
expect "$out/ls-control" "$home/control/hidden = \"secret\"   \(n0\)"
xenstore-chmod -r $home/control b1 r0
xenstore-ls -f -p $home/control >"$out/ls-control"
expect "$out/ls-control" "$home/control/hidden = \"secret\"   \(b1,r0\)"

# rm: of a tree, of several nodes, of none; -t takes empty parents along.
xenstore-rm /tool/test/a /tool/test/b
fails xenstore-exists /tool/test/a
fails xenstore-rm /tool/no-such-node/below
xenstore-write /tool/deep/er/est 1
xenstore-rm -t /tool/deep/er/est
fails xenstore-exists /tool/deep
xenstore-rm /tool
fails xenstore-exists /tool/test/big

# Many clients at once, each with its own connection.
writers=()
for ((i = 0; i < 20; i++)); do
  xenstore-write "/many/$i" "$i" &
  writers+=("$!")
done
for writer in "${writers[@]}"; do
  wait "$writer" || fail "a writer among twenty: status $?"
done
[[ $(xenstore-list /many | wc -l) == 20 ]] || fail "twenty writers wrote $(xenstore-list /many | wc -l) nodes"

# Who waits for the domain's end hears of it: once when the watch is set, once when the domain is gone.
xenstore-watch -n 2 @releaseDomain >"$out/watch-release" &
watcher=$!
for ((i = 0; i < 100; i++)); do
  [[ ! -s $out/watch-release ]] || break
  sleep 0.1
done
xenstore-write $home/control/end 1
finish
wait "$watcher" || fail "xenstore-watch @releaseDomain: status $?"
[[ $(tr '\n' ' ' <"$out/watch-release") == "@releaseDomain @releaseDomain " ]] ||
  fail "xenstore-watch saw: $(tr '\n' ' ' <"$out/watch-release")"
expect_status 0
# With the domain its socket is gone, and the tools say so.
fails xenstore-read $home/domid
