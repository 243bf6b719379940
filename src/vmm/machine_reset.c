// SPDX-License-Identifier: MIT
/*
 * Soft reset, for a guest that starts another kernel in its place: vCPU threads end, and begin again where they were;
 * between the two, in the main thread, everything that the old kernel had set up goes. The guest sees a hypercall that
 * returns 0.
 */
#include <errno.h>
#include <unistd.h>

#include "lend/peer.h"
#include "vmm/error.h"
#include "vmm/machine_state.h"
#include "xen/domain.h"

/* With a port that the guest closed, the console has lost the way by which it was told of output. */
static void reset_console(struct machine *machine, const struct evtchn_backend *old_port)
{
	const struct xen_domain *xen = machine->vm.xen;
	const struct evtchn_backend *port = evtchn_kvm_backend(xen->events_kvm, xen->console_port);

	if (port == old_port)
		return;
	console_free(machine->console);
	machine_start_console(machine);
}

bool machine_soft_reset(struct machine *machine, GError **error)
{
	struct vm *vm = &machine->vm;
	uint64_t count;

	if (!atomic_load(&vm->soft_reset))
		return false;
	machine_stop_vcpus(vm);
	if (machine->setup->layout.ram_is_lent) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "a guest whose RAM is lent cannot start another kernel");
		return false;
	}
	/* Another vCPU, or a person, may have ended it meanwhile. */
	if (atomic_load(&vm->record->outcome) != OUTCOME_NONE)
		return false;
	ssize_t got = read(vm->stop_fd, &count, sizeof(count));
	(void)got;

	/* What is in flight ends first: it is the old kernel's memory. */
	machine_stop_devices(machine);
	machine_reset_pci(machine);
	lending_reset(vm->lending);
	g_clear_pointer(&vm->peer, peer_free);
	const struct evtchn_backend *console_port = evtchn_kvm_backend(vm->xen->events_kvm, vm->xen->console_port);
	if (!xen_domain_soft_reset(vm->xen, error))
		return false;
	reset_console(machine, console_port);
	if (!machine_reset_store(machine, error) || !machine_start_devices(machine, error))
		return false;
	atomic_store(&vm->soft_reset, false);
	atomic_store(&vm->stopping, false);
	machine_watch_stop(machine);
	control_server_event(machine->control, "SOFT_RESET", NULL);
	machine_start_vcpus(vm);
	return true;
}
