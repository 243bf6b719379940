// SPDX-License-Identifier: MIT
/* The PCI devices of a domain: a function for each lend window that is in a BAR. */
#include "lend/lending.h"
#include "pci/host.h"
#include "pci/ids.h"
#include "vmm/machine_state.h"

/* What a function shows. */
struct pci_window {
	struct lending *lending;
	unsigned int number;
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

void machine_start_pci(struct machine *machine)
{
	const struct machine_setup *setup = machine->setup;
	struct vm *vm = &machine->vm;

	if (setup->layout.bridge_bytes == 0)
		return;
	vm->pci = pci_host_new(vm, setup->layout.bridge_gpa, setup->layout.bridge_bytes);
	machine->pci_windows = g_new0(struct pci_window, setup->lending.n_windows);
	for (unsigned int i = 0; i < setup->lending.n_windows; i++) {
		const struct lending_window *window = &setup->lending.windows[i];
		struct pci_window *shown = &machine->pci_windows[i];

		if (window->place != LENDING_AT_PCI)
			continue;
		*shown = (struct pci_window){ vm->lending, i };
		struct pci_function *function =
			pci_host_add(vm->pci, MACHINE_PCI_DEVICE(i), &MEMORY_IDENTITY, 1u << 0, &MEMORY_OPS, shown);
		pci_function_add_bar(function, 0, window->len_bytes, true, window->gpa);
	}
}

void machine_reset_pci(struct machine *machine)
{
	pci_host_reset(machine->vm.pci);
}

void machine_stop_pci(struct machine *machine)
{
	g_clear_pointer(&machine->pci_windows, g_free);
	pci_host_free(machine->vm.pci);
	machine->vm.pci = NULL;
}
