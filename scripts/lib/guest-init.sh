#!/bin/busybox sh
# shellcheck shell=dash
# Init of the small guest. What it does, by the first that is there:
#   /test         a boot test's script, added to the initramfs: run it, then power off
#   dom1.facts    on the kernel's command line: print the guest's facts, then power off
#   otherwise     a shell on hvc0; its end powers off
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# Else the kernel's messages would run into lines of output that tests compare.
echo 1 >/proc/sys/kernel/printk

# Tests compute with it what they print: then it cannot be an echo of the command line.
nonce=$(sed -n 's/.*dom1\.nonce=\([0-9]*\).*/\1/p' /proc/cmdline)
export nonce

facts() {
  echo "Linux $(uname -r), $(nproc) CPUs, $(sed -n 's/^MemTotal: *//p' /proc/meminfo) memory"
  echo
  for name in type version/major version/minor version/extra uuid compilation/compiler properties/features; do
    if value=$(cat "/sys/hypervisor/$name" 2>/dev/null); then
      echo "/sys/hypervisor/$name: $value"
    fi
  done
  echo
  echo "/proc/interrupts:"
  cat /proc/interrupts
}

facts_wanted() {
  read -r line </proc/cmdline
  case " $line " in *" dom1.facts "*) return 0 ;; esac
  return 1
}

if [ -e /test ]; then
  sh /test
elif facts_wanted; then
  facts
else
  echo "A PV Linux under dom1. 'exit' or 'poweroff -f' ends it, and so does Ctrl-] from outside."
  # The size of the terminal is not known to a Xen console; a job-control shell needs a controlling terminal.
  setsid -c sh -l </dev/hvc0 >/dev/hvc0 2>&1
fi
poweroff -f
