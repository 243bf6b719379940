#!/usr/bin/env bash
# A Debian kernel boots by its PVH entry, without a shim, and powers off with status 0.
# variants: old-1 new-2
# long: old-1
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r kernel vcpus <<<"$1"
guest_script <<'GUEST'
echo "sum $((nonce * 7 + 3))"
echo "cpus $(nproc)"
echo "hypervisor $(cat /sys/hypervisor/type) $(cat /sys/hypervisor/uuid)"
echo "uuid $(xenstore read "$(xenstore read vm)/uuid")"
GUEST

next_run
status=0
dom1 run --type pvh --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --vcpus "$vcpus" --timeout 200 \
  --append "console=hvc0 quiet dom1.nonce=$nonce" --report "$run/report.json" </dev/null >"$run/console" \
  2>"$run/stderr" || status=$?
expect_status 0
console=$run/console
expect "$console" "sum $((nonce * 7 + 3))"
expect "$console" "cpus $vcpus"
expect "$console" "hypervisor xen [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
refuse "$console" "hypervisor xen 00000000.*"
# The hypercall and the xenstore say the same.
uuid=$(lines "$console" | sed -n 's/^uuid //p')
expect "$console" "hypervisor xen $uuid"
