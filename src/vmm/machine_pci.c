// SPDX-License-Identifier: MIT
/* The PCI devices of a domain: one for each lend window that is in a BAR, and the vhost-user ones. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lend/lending.h"
#include "pci/host.h"
#include "pci/ids.h"
#include "vhost/device.h"
#include "virtio/device.h"
#include "virtio/pmem.h"
#include "vmm/error.h"
#include "vmm/machine_state.h"

/* What a device shows. */
struct pci_window {
	struct lending *lending;
	unsigned int number;
	struct pmem *pmem; /* NULL: it is memory and nothing else */
};

static int place_window(void *opaque, unsigned int bar, uint64_t gpa)
{
	const struct pci_window *window = opaque;

	(void)bar;
	return lending_place(window->lending, window->number, gpa == PCI_NOWHERE ? SPACE_NOWHERE : gpa);
}

/* No driver has a reason to come to it. */
static const struct pci_device_ops MEMORY_OPS = { .place = place_window };
static const struct pci_identity MEMORY_IDENTITY = { .vendor = PCI_VENDOR_XEN,
						     .device = PCI_DEVICE_LEND,
						     .subsystem_vendor = PCI_VENDOR_XEN,
						     .subsystem = PCI_DEVICE_LEND,
						     .class_code = PCI_CLASS_MEMORY_RAM };

static void add_memory(struct machine *machine, struct pci_window *shown, const struct lending_window *window)
{
	struct pci_function *function = pci_host_add(machine->vm.pci, MACHINE_PCI_DEVICE(shown->number), &MEMORY_IDENTITY,
						     1u << 0, &MEMORY_OPS, shown);

	pci_function_add_bar(function, 0, window->len_bytes, true, window->gpa);
}

static bool add_pmem(struct machine *machine, struct pci_window *shown, const struct lending_window *window, GError **error)
{
	const struct pmem_config config = {
		.pci_device = MACHINE_PCI_DEVICE(shown->number),
		.window = shown->number,
		.registers_gpa = machine->setup->layout.bridge_gpa + shown->number * VIRTIO_REGISTERS_BYTES,
		.memory_gpa = window->gpa,
		.memory_bytes = window->len_bytes,
	};

	shown->pmem = pmem_new(&machine->vm, machine->vm.pci, &config, error);
	return shown->pmem != NULL;
}

/* With the lenders that are there from the start: of all RAM, and those in the machine itself. syscalls(main): socketpair */
bool machine_start_lending(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	struct lending_config config = setup->lending;
	int fds[VM_MAX_VHOSTS + 1], ends[2];

	for (size_t i = 0; i < VM_MAX_VHOSTS; i++)
		machine->vhost_lend_fds[i] = -1;
	if (config.n_windows == 0)
		return true;
	config.lender_fds = fds;
	if (setup->memory_lent_fd >= 0)
		fds[config.n_lenders++] = setup->memory_lent_fd;
	for (size_t i = 0; i < setup->n_vhosts; i++) {
		if (!setup->vhosts[i].has_shmem)
			continue;
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "socketpair: %s", g_strerror(errno));
			return false;
		}
		fds[config.n_lenders++] = ends[0];
		machine->vhost_lend_fds[i] = ends[1];
	}
	machine->vm.lending = lending_new(&machine->vm, &config, error);
	return machine->vm.lending != NULL;
}

static bool add_vhosts(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;

	G_STATIC_ASSERT(VM_MAX_VHOSTS == VHOST_MAX_DEVICES);
	for (unsigned int i = 0; i < setup->n_vhosts; i++) {
		struct vhost_backend *backend = &setup->vhosts[i];
		const struct vhost_device_config config = {
			.backend = backend,
			.worker = machine->workers.vhost[i],
			.pci_device = MACHINE_VHOST_PCI_DEVICE(i),
			.registers_gpa = setup->layout.bridge_gpa + (SPACE_MAX_WINDOWS + i) * VIRTIO_REGISTERS_BYTES,
			.window = backend->window,
			.memory_gpa = backend->has_shmem ? setup->lending.windows[backend->window].gpa : 0,
			.lend_fd = machine->vhost_lend_fds[i],
		};

		machine->vhost_lend_fds[i] = -1;
		machine->vhosts[i] = vhost_device_new(&machine->vm, machine->vm.pci, &config, error);
		if (!machine->vhosts[i])
			return false;
	}
	return true;
}

bool machine_start_pci(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	struct vm *vm = &machine->vm;

	G_STATIC_ASSERT((SPACE_MAX_WINDOWS + VM_MAX_VHOSTS) * VIRTIO_REGISTERS_BYTES <= LAYOUT_BRIDGE_REGISTERS_BYTES);
	if (setup->layout.bridge_bytes == 0)
		return true;
	vm->pci = pci_host_new(vm, setup->layout.bridge_gpa, setup->layout.bridge_bytes);
	machine->pci_windows = g_new0(struct pci_window, setup->lending.n_windows);
	for (unsigned int i = 0; i < setup->lending.n_windows; i++) {
		const struct lending_window *window = &setup->lending.windows[i];
		struct pci_window *shown = &machine->pci_windows[i];

		*shown = (struct pci_window){ .lending = vm->lending, .number = i };
		if (window->place == LENDING_AT_PCI)
			add_memory(machine, shown, window);
		else if (window->place == LENDING_AT_PMEM && !add_pmem(machine, shown, window, error))
			return false;
	}
	return add_vhosts(machine, error);
}

void machine_reset_pci(struct machine *machine)
{
	pci_host_reset(machine->vm.pci);
	for (size_t i = 0; machine->pci_windows && i < machine->setup->lending.n_windows; i++)
		if (machine->pci_windows[i].pmem)
			pmem_reset(machine->pci_windows[i].pmem);
	for (size_t i = 0; i < machine->setup->n_vhosts; i++)
		vhost_device_reset(machine->vhosts[i]);
}

void machine_stop_pci(struct machine *machine)
{
	for (size_t i = 0; i < VM_MAX_VHOSTS; i++) {
		g_clear_pointer(&machine->vhosts[i], vhost_device_free);
		if (machine->vhost_lend_fds[i] > 0)
			close(machine->vhost_lend_fds[i]);
		machine->vhost_lend_fds[i] = -1;
	}
	for (size_t i = 0; machine->pci_windows && i < machine->setup->lending.n_windows; i++)
		pmem_free(machine->pci_windows[i].pmem);
	g_clear_pointer(&machine->pci_windows, g_free);
	pci_host_free(machine->vm.pci);
	machine->vm.pci = NULL;
}
