#!/usr/bin/env bash
# A guest described by xl.cfg: it runs as described, options win, and what cannot be is refused at its place in the file.
# variants: pv pvh words
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

config=$scratch/guest.cfg
name=xlcfg-$$

# dom1_run [OPTION...]: of the file; sets $status and $run.
dom1_run() {
  next_run
  command=(dom1 run "$config" "$@")
  printf '%q ' "${command[@]}" >"$run/command"
  cp "$config" "$run/guest.cfg"
  status=0
  "${command[@]}" >"$run/console" 2>"$run/stderr" </dev/null || status=$?
}

# boots TYPE: what the file says is what the guest finds.
boots() {
  guest_script <<'GUEST'
echo "sum $((nonce * 5 + 1)) cpus $(nproc) name $(xenstore read name)"
# In the shim the hypercall's UUID is the shim's own domain's, which has none.
echo "uuid $(xenstore read "$(xenstore read vm)/uuid")"
echo "line $(cat /proc/cmdline)"
echo "total $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
reboot -f
GUEST
  cat >"$config" <<END
# As xl's users write it.
type = "$1"; name = '$name'
uuid = "01234567-89AB-cdef-0123-456789abcdef"
kernel = "$guests/vmlinuz-old"
ramdisk = "$scratch/initrd"
root = "/dev/xvda1"
extra = "console=hvc0 quiet dom1.nonce=$nonce"
memory = 384
vcpus = 2
on_reboot = "destroy"
cpu_weight = 256
END
  dom1_run --timeout 200 --vcpus 1
  # on_reboot is heeded, vcpus is overridden.
  expect_status 32
  expect "$run/console" "sum $((nonce * 5 + 1)) cpus 1 name $name"
  expect "$run/console" "uuid 01234567-89ab-cdef-0123-456789abcdef"
  expect "$run/console" "line .*root=/dev/xvda1 console=hvc0 quiet dom1.nonce=$nonce"
  expect "$run/stderr" "dom1: $config:11:1: cpu_weight: ignored: .*"
  local total_kib
  total_kib=$(lines "$run/console" | sed -n 's/^total \([0-9]*\)$/\1/p')
  ((total_kib > 300 * 1024 && total_kib < 384 * 1024)) || fail "the guest has $total_kib KiB"
}

# refused STATUS REGEX [OPTION...]: the file given is, in one line that names the place.
refused() {
  local expected=$1 regex=$2
  shift 2
  dom1_run --dry-run "$@"
  expect_status "$expected"
  expect_one_line "$run/stderr" "dom1: $regex"
  [[ ! -s $run/console ]] || fail "something on standard output"
}

# kernel_and LINE...: a file that is good up to LINE, its second.
kernel_and() {
  printf 'kernel = "%s"\n' "$guests/vmlinuz-old" >"$config"
  printf '%s\n' "$@" >>"$config"
}

words() {
  # A file that is wrong has status 4, as every named file.
  kernel_and '   vcpu = 2'
  refused 4 "$config:2:4: vcpu: xl.cfg has no such key: did you mean vcpus\?"
  kernel_and 'vcpus = 1' 'flux_capacitor = 1'
  refused 4 "$config:3:1: flux_capacitor: xl.cfg has no such key.*"
  kernel_and 'memory = [ 512'
  refused 4 "$config:[0-9]+:[0-9]+: .*"
  kernel_and 'memory = "much"'
  refused 4 "$config:2:10: memory: \"much\" is no number.*"
  kernel_and 'vcpus = 33'
  refused 4 "$config:2:9: vcpus: 33 is out of range.*"
  kernel_and 'vcpus = 4' 'maxvcpus = 2'
  refused 4 "$config:3:12: maxvcpus: it is less than vcpus.*"
  # What would make it another guest is refused with the reason; what asks for nothing is not.
  kernel_and 'pci = [ "01:00.0" ]'
  refused 4 "$config:2:1: pci: dom1 gives no devices of the host to a guest.*"
  kernel_and 'builder = "hvm"'
  refused 4 "$config:2:11: builder: dom1 runs no HVM guests.*"
  kernel_and 'type = "hvm"'
  refused 4 "$config:2:8: type: dom1 runs no HVM guests.*"
  kernel_and 'boot = "c"'
  refused 4 "$config:2:1: boot: it is for HVM guests.*"
  kernel_and 'firmware = "bios"'
  refused 4 "$config:2:12: firmware: bios is for HVM guests.*"
  echo 'memory = 512' >"$config"
  refused 2 "no kernel.*"
  rm "$config"
  mkdir "$config"
  next_run
  status=0
  dom1 run "$config" >"$run/console" 2>"$run/stderr" || status=$?
  expect_status 4
  expect_one_line "$run/stderr" "dom1: $config: .*"
  rmdir "$config"

  # Harmless keys of old files are warned of, one line each, and the guest is the same.
  kernel_and 'builder = "linux"' 'pool = "Pool-0"' 'vfb = [ "type=vnc" ]' 'nomigrate = 1' 'pci = []' 'nestedhvm = 0'
  dom1_run --dry-run --name words
  expect_status 0
  for key in builder pool vfb nomigrate pci nestedhvm; do
    expect "$run/stderr" "dom1: $config:[2-7]:1: $key: ignored: .*"
  done
  [[ $(wc -l <"$run/stderr") == 6 ]] || fail "not six warnings"
  expect "$run/console" "memory: 512 MiB, about .* for the guest"

  # Each option wins over its key.
  kernel_and 'name = "file"' 'memory = 256' 'vcpus = 2' 'maxvcpus = 3' 'cmdline = "of the file"' \
    'pvshim_path = "/nowhere/shim"' 'max_grant_frames = 8' 'max_event_channels = 100'
  refused 4 "/nowhere/shim: the shim .*"
  dom1_run --dry-run --shim "$guests/xen-shim"
  expect_status 0
  expect "$run/console" "name: file"
  expect "$run/console" "memory: 256 MiB.*"
  expect "$run/console" "vcpus: 2, up to 3 by dom1 vcpu-set"
  expect "$run/console" "guest's command line: of the file"
  expect "$run/console" "grant frames: at most 8"
  expect "$run/console" "event channels: at most 100"
  dom1_run --dry-run --shim "$guests/xen-shim" --name option --memory 300 --vcpus 1 --max-vcpus 4 --append "of the option" \
    --max-grant-frames 9 --max-event-channels 101
  expect_status 0
  expect "$run/console" "name: option"
  expect "$run/console" "memory: 300 MiB.*"
  expect "$run/console" "vcpus: 1, up to 4 by dom1 vcpu-set"
  expect "$run/console" "guest's command line: of the option"
  expect "$run/console" "grant frames: at most 9"
  expect "$run/console" "event channels: at most 101"
  # Without a shim its path is of no use, and no hindrance.
  dom1_run --dry-run --type pvh
  expect_status 0
  refuse "$run/console" "shim's|^shim:"
  refused 2 "--max-vcpus=1: .*" --shim "$guests/xen-shim" --max-vcpus 1
  refused 2 "--max-grant-frames=65: .*" --max-grant-frames 65
  refused 2 "--max-event-channels=0: .*" --max-event-channels 0
}

case $1 in
  words) words ;;
  *) boots "$1" ;;
esac
