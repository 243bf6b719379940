#!/usr/bin/env bash
# The report of a boot: all phases, in order, with the guest's own mark.
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_script <<'GUEST'
xenstore write data/mark "sum $((nonce * 2 + 9))"
echo "target $(xenstore read memory/target) vcpu $(xenstore read cpu/0/availability) name $(xenstore read name)"
GUEST

boot --name "report-$nonce"
expect_status 0
# The guest's share of the memory.
expect "$run/console" "target 5[0-9]{5} vcpu online name report-$nonce"
expect_outcome poweroff 0
for phase in exec vm_created vcpu_run first_hypercall shim_banner domain_built kernel_entered first_console_byte \
  first_xenstore shutdown exit "mark sum $((nonce * 2 + 9))"; do
  expect "$run/facts" "phase $phase"
done
# Order of those whose order is certain; report-facts has compared all times.
grep -E ' (exec|vm_created|vcpu_run|first_hypercall|shim_banner|domain_built|kernel_entered|mark.*|shutdown|exit)$' \
  "$run/facts" | cut -d ' ' -f 2 | tr '\n' ' ' >"$run/order"
[[ $(cat "$run/order") == "exec vm_created vcpu_run first_hypercall shim_banner domain_built kernel_entered mark shutdown exit " ]] ||
  fail "order of phases: $(cat "$run/order")"
