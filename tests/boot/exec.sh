#!/usr/bin/env bash
# dom1 exec: streams, status and root of a command in a guest. pv-old and the like: type and kernel. disk: the root is an
# image. static: there is no root but the program. ends: what ends before the command does.
# variants: pv-old pv-new pvh-old pvh-new disk static ends
# long: pv-new pvh-old pvh-new disk static ends
# limit: 900
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

root=$scratch/root
mkdir -p "$root"
(cd "$root" && zcat -f "$DOM1_GUEST" | cpio -idm --quiet 2>/dev/null) || [[ -e $root/bin/busybox ]]
type=${1%-*}
kernel=${1##*-}
[[ $kernel == old || $kernel == new ]] || type=pvh kernel=old

# execute [OPTION...] -- COMMAND...: sets $status and $run; standard input is the caller's.
execute() {
  local shim=(--shim "$guests/xen-shim")
  [[ $type == pv ]] || shim=(--type pvh)
  next_run
  command=(dom1 exec --kernel "$guests/vmlinuz-$kernel" "${shim[@]}" --timeout 200 "$@")
  printf '%q ' "${command[@]}" >"$run/command"
  status=0
  "${command[@]}" <&0 >"$run/stdout" 2>"$run/stderr" || status=$?
}

# expect_output TEXT: all of it.
expect_output() {
  [[ $(cat "$run/stdout") == "$1" ]] || fail "standard output is not $1: $(head -c 300 "$run/stdout")"
}

case $1 in
  pv-* | pvh-*)
    before=$(cd "$root" && find . -printf '%p %s %m %l\n' | sort | sha256sum)
    head -c 60000 /dev/urandom >"$scratch/input"
    # shellcheck disable=SC2016
    execute --root "$root" --cwd /mnt -- sh -c 'pwd; cat >/input; sha256sum </input; echo "to $0" >&2; exit 7' "a  b" <"$scratch/input"
    expect_status 7
    expect_output "/mnt
$(sha256sum <"$scratch/input")"
    [[ $(cat "$run/stderr") == "to a  b" ]] || fail "standard error is not the command's alone: $(head -n 5 "$run/stderr")"
    [[ $(cd "$root" && find . -printf '%p %s %m %l\n' | sort | sha256sum) == "$before" ]] || fail "the root has changed"
    # Many bytes come out whole, and a signal is a status.
    if [[ $1 != pv-old ]]; then
      execute --root "$root" -- sh -c 'seq 1 200000; kill -9 $$' </dev/null
      expect_status 137
      cmp "$run/stdout" <(seq 1 200000) || fail "output is not whole"
    fi
    ;;
  disk)
    truncate -s 64M "$scratch/disk"
    echo "from the host" >"$root/hello"
    mke2fs -q -t ext4 -d "$root" "$scratch/disk"
    sum=$(sha256sum <"$scratch/disk")
    modules=()
    for name in xen-blkfront crc16 mbcache jbd2 ext4; do
      [[ ! -e $guests/modules-$kernel/$name.ko ]] || modules+=(--module "$guests/modules-$kernel/$name.ko")
    done
    execute --root "$scratch/disk" "${modules[@]}" -- sh -c 'cat /hello; echo changed >/hello; cat /hello; grep " / " /proc/mounts | tail -n 1' </dev/null
    expect_status 0
    expect "$run/stdout" "from the host"
    expect "$run/stdout" changed
    expect "$run/stdout" "/dev/xvda / ext4 .*"
    [[ $(sha256sum <"$scratch/disk") == "$sum" ]] || fail "the image has changed"
    execute --root "$scratch/disk" -- true </dev/null
    expect_status 125
    expect "$run/stderr" ".*dom1-init: the root's disk .*"
    ;;
  static)
    ln -s "$root/bin/busybox" "$scratch/program"
    # shellcheck disable=SC2016  # the guest's
    execute -- "$scratch/program" sh -c 'echo "alone $PWD"; ls /' </dev/null
    expect_status 0
    expect "$run/stdout" "alone /"
    execute -- "$tools/report-facts" </dev/null
    expect_status 127
    ;;
  ends)
    execute --root "$root" -- no-such-program </dev/null
    expect_status 127
    expect "$run/stderr" "dom1-init: no-such-program: not found in the guest's root"
    execute --root "$root" -- sh -c 'echo c >/proc/sysrq-trigger; sleep 100' </dev/null
    expect_status 34
    execute --root "$root" --timeout 25 -- sleep 1000 </dev/null
    expect_status 124
    execute --root "$root" -- sh -c 'poweroff -f; sleep 100' </dev/null
    expect_status 125
    execute --root /no/such/folder -- true </dev/null
    expect_status 4
    execute --root "$root" </dev/null
    expect_status 2
    # A reader that goes away, and an interruption, leave nothing behind: the runner looks.
    execute --root "$root" -- yes </dev/null | head -n 1 >/dev/null || true
    ;;
esac
compgen -G "/tmp/dom1-exec-*" >/dev/null && fail "a folder is left: $(echo /tmp/dom1-exec-*)"
exit 0
