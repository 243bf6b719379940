#!/usr/bin/env bash
# --core: a Linux that panics leaves a core that readelf and gdb read, in which its memory is where it was. timeout: one that
# hangs says first what its tasks wait for. pv: in the shim, the guest's memory as Xen writes it. Evidence of devices and hypercalls.
# variants: pvh timeout pv
# long: pvh timeout pv
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

type=${1/timeout/pvh}
# The words, and how often they are in the memory of the core; where the first page of them is, by its PT_LOADs.
cat >"$scratch/look.py" <<'PYTHON'
import mmap, struct, sys

core, words = open(sys.argv[1], "rb"), sys.argv[2].encode()
data = mmap.mmap(core.fileno(), 0, access=mmap.ACCESS_READ)
assert data[:5] == b"\x7fELF\x02" and struct.unpack_from("<H", data, 16)[0] == 4
if sys.argv[4:] == ["pv"]:
    # Xen's own kind: sections. The guest's memory, page by page, and what frame of the machine each was in.
    at, = struct.unpack_from("<Q", data, 40)
    number, strings = struct.unpack_from("<HH", data, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * 64) for i in range(number)]
    names = sections[strings][4]
    section = {data[names + s[0]:data.find(b"\0", names + s[0])].decode(): (s[4], s[5], s[9]) for s in sections[1:]}
    pages, size, _ = section[".xen_pages"]
    p2m, entries, entry = section[".xen_p2m"]
    listed = [struct.unpack_from("<QQ", data, p2m + i) for i in range(0, entries, entry)]
    frames = [frame for _, frame in listed if frame != 2**64 - 1]
    assert [pfn for pfn, _ in listed] == list(range(size // 4096)) and len(set(frames)) == len(frames)
    print("vcpus", section[".xen_prstatus"][1] // section[".xen_prstatus"][2])
    print("found", "yes" if data.find(words, pages, pages + size) >= 0 else "no")
    print("memory", size >> 20)
    offset = pages + int(sys.argv[3], 16) - 0xffffffff80000000
    print("banner", data[offset:offset + 14].decode(errors="replace"))
    sys.exit()
start, = struct.unpack_from("<Q", data, 32)
size, number = struct.unpack_from("<HH", data, 54)
loads, notes = [], []
for i in range(number):
    kind, _, offset, vaddr, paddr, filesz = struct.unpack_from("<IIQQQQ", data, start + i * size)
    if kind == 1:
        loads.append((offset, vaddr, paddr, filesz))
    else:
        notes.append((offset, filesz))
at, end = notes[0][0], notes[0][0] + notes[0][1]
vcpus, info = 0, b""
while at < end:
    namesz, descsz, kind = struct.unpack_from("<III", data, at)
    name = data[at + 12:at + 12 + namesz - 1]
    descriptor = at + 12 + (namesz + 3) // 4 * 4
    vcpus += name == b"CORE" and kind == 1
    if name == b"VMCOREINFO":
        info = data[descriptor:descriptor + descsz]
    at = descriptor + (descsz + 3) // 4 * 4
print("vcpus", vcpus)
print("found", "yes" if data.find(words) >= 0 else "no")
print("memory", sum(filesz for _, vaddr, paddr, filesz in loads if vaddr == paddr) >> 20)
release = [line for line in info.decode().splitlines() if line.startswith("OSRELEASE=")]
print("release", release[0][10:] if release else "none")
# The banner is a variable of the kernel: found at the address that the kernel itself has for it, by the other PT_LOAD.
address = int(sys.argv[3], 16) if len(sys.argv) > 3 else 0
for offset, vaddr, _, filesz in loads:
    if address and vaddr <= address < vaddr + filesz:
        text = data[offset + address - vaddr:offset + address - vaddr + 14]
        print("banner", text.decode(errors="replace"))
PYTHON

case $1 in
  pvh | pv)
    guest_script <<'GUEST'
echo 0 >/proc/sys/kernel/kptr_restrict
echo "banner $((nonce + 1)) $(sed -n 's/^\([0-9a-f]*\) . linux_banner$/\1/p' /proc/kallsyms) $(uname -r)"
# A pattern in the guest's memory that is in no file of the host.
pattern="core-$((nonce * 3))-pattern"
export pattern
echo c >/proc/sysrq-trigger
GUEST
    boot --vcpus 2 --core "$out/core" --append "console=hvc0 quiet sysrq_always_enabled dom1.nonce=$nonce" --disk "$DOM1_GUEST,ro"
    expect_status 34
    grep -q "a core is in $out/core" "$run/stderr" || fail "no word of the core"
    # It has holes; before it is read, since to map a hole of a tmpfs fills it.
    (($(stat -c %b "$out/core") * 512 < 400 << 20)) || fail "the core has no holes"
    read -r _ _ address release < <(lines "$run/console" | grep "^banner $((nonce + 1)) ")
    python3 "$scratch/look.py" "$out/core" "core-$((nonce * 3))-pattern" "$address" "$1" >"$run/look"
    expect "$run/look" "vcpus 2"
    expect "$run/look" "found yes"
    # The shim keeps some of the machine's memory.
    expect "$run/look" "memory $([[ $1 == pv ]] && echo '[45]..' || echo '51[0-9]')"
    [[ $1 == pv ]] || expect "$run/look" "release $release"
    expect "$run/look" "banner Linux version "
    # The other evidence: the panic's last hypercall, and a disk without a driver.
    expect "$run/stderr" "    [|] sched_op .*"
    expect "$run/stderr" "  device/vbd/51712: frontend Initialising, backend InitWait, ring-ref never written, event-channel never written"
    if [[ $(type -P readelf) ]]; then
      readelf -n -l -S "$out/core" >"$run/readelf"
      expect "$run/readelf" "$([[ $1 == pv ]] && echo ' *.* [.]xen_p2m .*' || echo ' *CORE .*NT_PRSTATUS .*')"
    fi
    rm "$out/core"
    # One that ends well leaves none.
    guest_script <<<"true"
    boot --core "$out/core"
    expect_status 0
    [[ ! -e $out/core ]] || fail "a core of a guest that ended well"
    ;;
  timeout)
    # shellcheck disable=SC2016  # the guest expands it
    guest_script <<<'echo "ready $((nonce + 1))"; sleep 1000'
    mkdir "$scratch/tests"
    ln -s "$guests/vmlinuz-old" "$scratch/tests/vmlinuz"
    next_run
    status=0
    dom1 test --timeout 60 --core --output "$out/kept" "$scratch/tests/vmlinuz" -- --type pvh --initrd "$scratch/initrd" --memory 256M \
      --append "console=hvc0 quiet sysrq_always_enabled dom1.nonce=$nonce" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
    expect_status 124
    kept=$(echo "$out"/kept/*/)
    lines "$kept/console.log" | grep -q "^ready $((nonce + 1))" || fail "the guest did not come up"
    lines "$kept/console.log" | grep -qE "task:sleep " || fail "no dump of tasks: $(lines "$kept/console.log" | tail -n 5)"
    [[ -s $kept/core && -s $kept/report.json ]] || fail "no core or no report"
    rm "$kept/core"
    dom1 test --core "$scratch/tests/vmlinuz" >/dev/null 2>"$run/stderr" && fail "--core without --output"
    grep -q -- "--core: cores are kept" "$run/stderr" || fail "$(cat "$run/stderr")"
    ;;
esac
