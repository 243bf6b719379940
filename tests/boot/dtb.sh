#!/usr/bin/env bash
# A guest described by a device tree: a .dts through dtc, its .dtb, and what --dump-dtb wrote.
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
echo "sum $((nonce * 3 + 5)) cpus $(nproc) name $(xenstore read name)"
echo "uuid $(cat /sys/hypervisor/uuid)"
GUEST

# Xen's dom0less binding; where Xen finds the modules at an address, dom1 finds them in a file.
cat >"$scratch/guest.dts" <<END
/dts-v1/;
/ {
	chosen {
		domU1 {
			compatible = "xen,domain";
			memory = <0x0 (320 * 1024)>;
			cpus = <2>;
			mode = <4>; /* 64-bit PVH */
			domain-uuid = [01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef];
			dom1,name = "tree-$$";
			dom1,maxvcpus = <3>;
			dom1,on-crash = "restart";
			#address-cells = <1>;
			#size-cells = <1>;
			module@0 {
				compatible = "multiboot,kernel", "multiboot,module";
				reg = <0x4a000000 0x1000000>;
				dom1,path = "$guests/vmlinuz-old";
				bootargs = "console=hvc0 quiet dom1.nonce=$nonce";
			};
			module@1 {
				compatible = "multiboot,ramdisk", "multiboot,module";
				dom1,path = "$scratch/initrd";
			};
		};
	};
};
END
cat >"$scratch/guest.cfg" <<END
kernel = "$guests/vmlinuz-old"
ramdisk = "$scratch/initrd"
name = "cfg-$$"
extra = "console=hvc0 quiet \$(words) 'and more'"
memory = 384
vcpus = 2
maxvcpus = 4
pvshim_path = "$guests/xen-shim"
pvshim_extra = "loglvl=all"
max_grant_frames = 16
max_event_channels = 200
on_poweroff = "restart"
END

# dom1_run WORD...: dom1 run; sets $status and $run.
dom1_run() {
  next_run
  printf '%q ' dom1 run "$@" >"$run/command"
  status=0
  dom1 run "$@" >"$run/console" 2>"$run/stderr" </dev/null || status=$?
}

# same_again FILE [OPTION...]: what is dumped of FILE and the options is the same guest as they are, and dumps the same.
same_again() {
  local file=$1 described
  shift
  dom1_run "$file" "$@" --dry-run --dump-dtb "$scratch/dump.dtb"
  expect_status 0
  described=$run
  [[ $(od -An -tx1 -N4 "$scratch/dump.dtb" | tr -d ' ') == d00dfeed ]] || fail "what is dumped is no device tree"
  dom1_run "$scratch/dump.dtb" --dry-run
  expect_status 0
  cmp "$run/console" "$described/console" || fail "the guest of the dump is not the guest of ${file##*/}"
  [[ ! -s $run/stderr ]] || fail "dom1 wrote a device tree and warns of it: $(head -n 1 "$run/stderr")"
  # It starts nothing, also without --dry-run.
  dom1_run "$scratch/dump.dtb" --dump-dtb "$scratch/again.dtb"
  expect_status 0
  [[ ! -s $run/console && ! -s $run/stderr ]] || fail "--dump-dtb does more than to dump"
  cmp "$scratch/dump.dtb" "$scratch/again.dtb" || fail "a second dump differs"
}

same_again "$scratch/guest.cfg"
same_again "$scratch/guest.cfg" --vcpus 1 --append "" --on-reboot stop --name other
same_again "$scratch/guest.cfg" --type pvh

dom1_run "$scratch/guest.cfg" --dump-dtb "$scratch/missing/dump.dtb"
expect_status 2
expect_one_line "$run/stderr" "dom1: --dump-dtb=$scratch/missing/dump.dtb: cannot write: .*"

# Damage is said in one line.
head -c 100 "$scratch/dump.dtb" >"$scratch/half.dtb"
dom1_run "$scratch/half.dtb" --dry-run
expect_status 4
expect_one_line "$run/stderr" "dom1: $scratch/half.dtb: device tree: it is damaged or none .*"

# Without dtc the reason is said.
next_run
status=0
PATH=$(dirname "$(command -v dom1)") dom1 run "$scratch/guest.dts" --dry-run >"$run/console" 2>"$run/stderr" || status=$?
expect_status 4
expect_one_line "$run/stderr" "dom1: $scratch/guest.dts: cannot compile the device tree: dtc is not installed.*"

command -v dtc >/dev/null || fail "there is no dtc here: install device-tree-compiler, and let the lab have it"
same_again "$scratch/guest.dts"
dtc -q -I dts -O dtb -o "$scratch/guest.dtb" "$scratch/guest.dts"
same_again "$scratch/guest.dtb"
sed 's/multiboot,kernel/multiboot,colonel/' "$scratch/guest.dts" >"$scratch/wrong.dts"
dom1_run "$scratch/wrong.dts" --dry-run
expect_status 4
expect_one_line "$run/stderr" "dom1: $scratch/wrong.dts: .*"
sed 's/^};$//' "$scratch/guest.dts" >"$scratch/open.dts"
dom1_run "$scratch/open.dts" --dry-run
expect_status 4
expect_one_line "$run/stderr" "dom1: $scratch/open.dts: cannot compile the device tree: .*"

dom1_run "$scratch/guest.dtb" --timeout 200
expect_status 0
expect "$run/console" "sum $((nonce * 3 + 5)) cpus [23] name tree-$$"
expect "$run/console" "uuid 01234567-89ab-cdef-0123-456789abcdef"
