#!/usr/bin/env bash
# Kernels, initrds, shims and symbol files that are missing, empty, cut, damaged, of another machine or no file at all:
# status 4 and one line with the file's name, what it is and what to give instead.
# limit: 150
# shellcheck source=tests/boot/lib/refused.sh
source "$(dirname "$0")/lib/refused.sh"

guest_shell
cd "$scratch"
echo "not a kernel" >text
: >empty
mkdir folder
mkfifo fifo
head -c 100000 "$guests/vmlinuz-old" >half
head -c 1000 "$guests/xen-shim" >half-shim
head -c 100000 /dev/urandom | tr '\0-\37' 'a' >garbage

# bytes FILE OFFSET TEXT: printf's TEXT put there.
bytes() {
  # shellcheck disable=SC2059  # TEXT is a format
  printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# header FILE CLASS MACHINE: an ELF without segments; MACHINE is its low byte.
header() {
  head -c 4096 /dev/zero >"$1"
  bytes "$1" 0 "\\177ELF\\00$2\\001\\001"
  bytes "$1" 16 "\\002\\000$3\\000\\001"
}
head -c 4096 /dev/zero >arm64
bytes arm64 0 'MZ'
bytes arm64 56 'ARM\144'
header arm64-elf 2 '\267'
header elf-386 1 '\003'
# A 32-bit vmlinux with one segment, and in it a note: of Xen, guest OS; none says that it knows PAE.
header no-pae 1 '\003'
bytes no-pae 28 '\064'
bytes no-pae 40 '\064\000\040\000\002'
bytes no-pae 52 '\001\000\000\000\000\001\000\000\000\000\020\000\000\000\020\000\000\001\000\000\000\001\000\000'
bytes no-pae 84 '\004\000\000\000\000\001\000\000\000\000\020\000\000\000\020\000\044\000\000\000\044\000\000\000'
bytes no-pae 256 '\004\000\000\000\006\000\000\000\006\000\000\000Xen\000linux\000'
bytes no-pae 280 '\000\000'
cp "$guests/vmlinuz-old" corrupt
chmod u+w corrupt
bytes corrupt 3000000 '\336\255\276\357\336\255\276\357\336\255\276\357\336\255\276\357'

refused 4 "missing: No such file or directory: check the kernel's path" --kernel missing
refused 4 "text: not a kernel: .*: give the vmlinuz" --kernel text
refused 4 "empty: the file is empty: get the file again" --kernel empty
refused 4 "folder: is a directory: give the kernel's file" --kernel folder
refused 4 "fifo: is not a regular file: copy" --kernel fifo
refused 4 "/dev/zero: is not a regular file: copy" --kernel /dev/zero
refused 4 "half: a truncated or damaged bzImage: .*: get the file again" --kernel half
refused 4 "corrupt: it cannot be unpacked: .*: the file is damaged, get it again" --kernel corrupt
refused 4 "arm64: an arm64 kernel \(Image\): give a kernel built for x86-64" --kernel arm64
refused 4 "arm64-elf: a kernel for arm64: give a kernel built for x86-64" --kernel arm64-elf
refused 4 "elf-386: an ELF with nothing to load" --kernel elf-386
refused 4 "no-pae: a 32-bit kernel without PAE: .*CONFIG_X86_PAE" --kernel no-pae
refused 4 "xen-shim: it has Xen's PVH entry only: .*CONFIG_XEN_PV, or start it with --type pvh" \
  --kernel "$guests/xen-shim"

refused 4 "missing: cannot use it as the initrd: No such file or directory: check its path" --initrd missing
refused 4 "empty: cannot use it as the initrd: the file is empty: get it again" --initrd empty
refused 4 "folder: cannot use it as the initrd: a directory.*: give a file" --initrd folder
refused 4 "/dev/null: cannot use it as the initrd: not a regular file: give a file" --initrd /dev/null
refused 4 "garbage: no initrd that Linux knows: .*: get the file again" --initrd garbage
refused 4 "text: no initrd that Linux knows" --initrd text

refused 4 "missing: the shim that --shim names cannot be used: No such file" --shim missing
refused 4 "empty: cannot use it as the shim: the file is empty" --shim empty
refused 4 "folder: the shim that --shim names cannot be used: is a directory" --shim folder
refused 4 "/dev/null: the shim that --shim names cannot be used: is not a regular file" --shim /dev/null
refused 4 "text: not a Xen shim, not even an ELF file: give the xen-shim" --shim text
refused 4 "half-shim: a truncated or damaged ELF file, not a Xen shim: give the xen-shim" --shim half-shim
refused 4 "arm64-elf: an ELF file of another machine than x86, not a Xen shim" --shim arm64-elf
refused 4 "elf-386: an ELF file, but not a Xen shim: give the xen-shim" --shim elf-386
# A Xen without PV_SHIM: the real one, without the words by which it is known.
sed 's/shim used pages/shiM used pages/' "$guests/xen-shim" >full-xen
refused 4 "full-xen: a Xen built without CONFIG_PV_SHIM: give the xen-shim" --shim full-xen

refused 4 "missing: cannot use it as the symbol file: No such file" --symbols missing
refused 4 "text: no symbols in it: give the System.map" --symbols text
refused 4 "missing.cfg: cannot use it as the configuration: No such file" missing.cfg

# Not readable for this user; root reads everything. What nobody may see cannot lie in $scratch.
if ((EUID == 0)); then
  locked=$(mktemp /tmp/locked.XXXXXX)
  trap 'rm -f "$locked"' EXIT
  echo secret >"$locked"
  for option in --kernel --initrd --shim; do
    next_run
    guest_options --initrd "$DOM1_GUEST" --report /dev/null --shim-log /dev/null "$option" "$locked"
    status=0
    setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR "${command[@]}" </dev/null \
      >"$run/console" 2>"$run/stderr" || status=$?
    expect_refusal 4 "${locked##*/}: .*Permission denied: "
  done
fi
