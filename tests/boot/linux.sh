#!/usr/bin/env bash
# A Debian kernel reaches init, runs a script there and powers off with status 0.
# variants: old-1-multiboot old-2-multiboot old-1-pvh old-2-pvh new-1-multiboot new-2-multiboot new-1-pvh new-2-pvh
# long: old-2-pvh new-1-pvh old-1-pvh
# quick: old-2-multiboot
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r kernel vcpus entry <<<"$1"
guest_script <<'GUEST'
echo "sum $((nonce * 3 + 1))"
echo "cpus $(nproc) $(grep -c ^processor /proc/cpuinfo)"
echo "release $(uname -r)"
cd /sys/hypervisor
echo "hypervisor $(cat type) $(cat version/major).$(cat version/minor)"
# The shim gives its guest a uuid of zeros; the domain's own is in the xenstore.
echo "uuid $(xenstore read "$(xenstore read vm)/uuid")"
echo "console $(grep -c hvc_console /proc/interrupts)"
GUEST

boot --kernel "$guests/vmlinuz-$kernel" --vcpus "$vcpus" --shim-entry "$entry"
expect_status 0
console=$run/console
expect "$console" "sum $((nonce * 3 + 1))"
expect "$console" "cpus $vcpus $vcpus"
expect "$console" "release $(release_of "$kernel" | sed "s/[.+]/\\\\&/g")"
expect "$console" "hypervisor xen 4\.17"
expect "$console" "uuid [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
refuse "$console" "00000000-0000-0000-0000-000000000000"
expect "$console" "console 1"
