// SPDX-License-Identifier: MIT
/* The machine's consoles beside the first: back ends in state InitWait before the first vCPU runs. */
#include "backend/console_device.h"
#include "vmm/error.h"
#include "vmm/machine_state.h"
#include "xen/domain.h"

bool machine_start_channels(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	struct xen_domain *xen = machine->vm.xen;

	machine->channel_access = (struct ring_access){ .memory = machine->vm.memory, .grants = &xen->grants,
							.grants_lock = &xen->lock, .ports = &BACKEND_PORT_XEN, .ports_opaque = xen,
							.trace = machine_xenbus_trace(machine) };
	machine->channels = g_new0(struct console_device *, setup->n_channels);
	for (size_t i = 0; i < setup->n_channels; i++) {
		machine->channels[i] = console_device_new(machine->store, &machine->channel_access, machine->vm.record,
							  (unsigned int)i + 1, &setup->channels[i]);
		if (!machine->channels[i]) {
			g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
			return false;
		}
	}
	return true;
}

void machine_stop_channels(struct machine *machine)
{
	for (size_t i = 0; machine->channels && i < machine->setup->n_channels; i++) {
		if (machine->channels[i] && !machine->launcher_gone)
			console_device_drain(machine->channels[i]);
		console_device_free(machine->channels[i]);
	}
	g_clear_pointer(&machine->channels, g_free);
}
