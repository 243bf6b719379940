// SPDX-License-Identifier: MIT
/* The machine's disks: back ends in state InitWait before the first vCPU runs, so that no guest waits for them. */
#include "vmm/error.h"
#include "vmm/machine_state.h"
#include "xen/domain.h"

static void end_domain(void *opaque, const char *why)
{
	vm_end(opaque, OUTCOME_HOST_ERROR, DOM1_STATUS_BACKEND, "%s", why);
}

bool machine_start_disks(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	struct xen_domain *xen = machine->vm.xen;

	machine->block_env = (struct block_env){
		.store = machine->store,
		.memory = machine->vm.memory,
		.grants = &xen->grants,
		.grants_lock = &xen->lock,
		.io = machine->io,
		.ports = &BACKEND_PORT_XEN,
		.ports_opaque = xen,
		.max_queues = MIN(machine->vm.n_vcpus, BLOCK_QUEUES_MAX),
		.record = machine->vm.record,
		.end = end_domain,
		.end_opaque = &machine->vm,
	};
	machine->disks = g_new0(struct block_device *, setup->n_disks);
	for (size_t i = 0; i < setup->n_disks; i++) {
		machine->disks[i] = block_device_new(&machine->block_env, &setup->disks[i]);
		if (!machine->disks[i]) {
			g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
			return false;
		}
	}
	return true;
}

void machine_stop_disks(struct machine *machine)
{
	/* First everything that is in flight comes to its end: the guest's memory goes next. */
	for (size_t i = 0; machine->disks && i < machine->setup->n_disks; i++)
		block_device_free(machine->disks[i]);
	g_clear_pointer(&machine->disks, g_free);
}
