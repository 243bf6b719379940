# shellcheck shell=bash
# What the runs of scripts/bench have in common. Where guests stay up, the caller has $scratch: there the console of each VMM
# is the file of its name.
# shellcheck disable=SC2034,SC2154  # for and of the callers

# What is left of a PC where the shim still boots: it wants ACPI tables, and a timer behind the IO-APIC.
machine=pc,hpet=off,usb=off,smbus=off,vmport=off,i8042=off,mem-merge=off,dump-guest-core=off
# All that QEMU gets besides its guest; the guest's console is the standard streams.
qemu=(qemu-system-x86_64 -nodefaults -no-user-config -vga none -display none -M "$machine" -cpu host
  -accel "kvm,xen-version=0x40011,kernel-irqchip=split" -chardev "stdio,id=console,signal=off"
  -device "xen-console,chardev=console")
shim_options="pv-shim no-real-mode console=xen console=xen,pv"
declare -A pids=()

die() {
  printf 'bench: %s\n' "$*" >&2
  exit 1
}

# Standard input of a VMM is the caller's; without <&0 a command in the background has none.

# start_qemu NAME MEMORY SHIM KERNEL GUEST-OPTIONS INITRD OPTION...
start_qemu() {
  local name=$1 memory=$2 shim=$3 modules="$4 $5,$6"
  shift 6
  "${qemu[@]}" -m "$memory" -smp 1 "$@" -kernel "$shim" -append "$shim_options" -initrd "$modules" <&0 >"$scratch/$name" 2>"$scratch/$name.stderr" &
  pids[$name]=$!
}

# start_dom1 NAME OPTION...
start_dom1() {
  local name=$1
  shift
  dom1 run --shim-append "${shim_options##* }" --name "bench-$$" "$@" <&0 >"$scratch/$name" 2>"$scratch/$name.stderr" &
  pids[$name]=$!
}

stop_all() {
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
  wait || true
  pids=()
}

# wait_until TEXT COMMAND...
wait_until() {
  local what=$1 steps=0 name
  shift
  until "$@" >/dev/null 2>&1; do
    if ((++steps == 1200)); then
      for name in "${!pids[@]}"; do
        tail -n 3 "$scratch/$name" "$scratch/$name.stderr" >&2
      done
      die "$what"
    fi
    sleep 0.2
  done
}

# What follows starts no programs: in the lab each takes longer than all that it looks for.

# processes NAME: a VMM with its children, and the helpers that left it.
processes() {
  local pid=${pids[$1]} children name
  read -r -a children <"/proc/$pid/task/$pid/children" || true
  printf '%s\n' "$pid" "${children[@]}"
  [[ $1 == dom1 ]] || return 0
  for pid in /proc/[0-9]*; do
    { read -r name <"$pid/comm"; } 2>/dev/null || continue
    [[ $name != passt* ]] || printf '%s\n' "${pid#/proc/}"
  done
}

# cpu NAME: nanoseconds on a CPU so far, and those of them in the guest.
cpu() {
  local pid thread run rest line fields total=0 guest=0
  for pid in $(processes "$1"); do
    for thread in "/proc/$pid/task"/*; do
      read -r run rest <"$thread/schedstat"
      read -r line <"$thread/stat"
      read -r -a fields <<<"${line##*) }"
      total=$((total + run))
      # Field 43 of stat(5), in hundredths of a second; the name and the pid before it are cut off.
      guest=$((guest + fields[40] * 10000000))
    done
  done
  printf '%s %s\n' "$total" "$guest"
}

# describe_host NAME VALUE...: of the host, and what else the report is to tell.
describe_host() {
  printf 'kernel %s\n' "$(uname -r)"
  printf 'cpus %s\n' "$(nproc)"
  printf 'cpu %s\n' "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
  printf 'qemu %s\n' "$(qemu-system-x86_64 --version | sed -n '1s/^QEMU emulator version //p')"
  printf 'machine %s\n' "$machine"
  (($# == 0)) || printf '%s %s\n' "$@"
}
