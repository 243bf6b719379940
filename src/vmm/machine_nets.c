// SPDX-License-Identifier: MIT
/* The machine's network interfaces: back ends in state InitWait before the first vCPU runs. */
#include "backend/nic.h"
#include "vmm/error.h"
#include "vmm/machine_state.h"
#include "xen/domain.h"

static void warn(void *opaque, const char *line)
{
	machine_say(opaque, "%s", line);
}

bool machine_start_nets(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	struct xen_domain *xen = machine->vm.xen;

	machine->net_env = (struct net_env){
		.store = machine->store,
		.access = { .memory = machine->vm.memory, .grants = &xen->grants, .grants_lock = &xen->lock,
			    .ports = &BACKEND_PORT_XEN, .ports_opaque = xen, .trace = machine_xenbus_trace(machine) },
		.io = machine->io,
		.max_queues = MIN(machine->vm.n_vcpus, NET_QUEUES_MAX),
		.record = machine->vm.record,
		.inject = setup->config->inject,
		.warn = warn,
		.warn_opaque = machine,
	};
	machine->nets = g_new0(struct net_device *, setup->n_nics);
	for (size_t i = 0; i < setup->n_nics; i++) {
		machine->nets[i] = net_device_new(&machine->net_env, &setup->nics[i]);
		if (!machine->nets[i]) {
			g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
			return false;
		}
	}
	return true;
}

void machine_stop_nets(struct machine *machine)
{
	for (size_t i = 0; machine->nets && i < machine->setup->n_nics; i++)
		net_device_free(machine->nets[i]);
	g_clear_pointer(&machine->nets, g_free);
}
