// SPDX-License-Identifier: MIT
/* Physical interrupts and PCI: a domain like this one has none. Source: <xen/physdev.h>. */
#include "xen/abi.h"
#include <xen/physdev.h>

#include "xen/hypercall.h"

static const struct hypercall_op OPS[] = {
	HYPERCALL_REFUSE(PHYSDEVOP_, irq_status_query, XEN_ENOSYS, NULL),
	HYPERCALL_REFUSE(PHYSDEVOP_, eoi, XEN_ENOSYS, NULL),
	HYPERCALL_REFUSE(PHYSDEVOP_, map_pirq, XEN_ENOSYS, NULL),
	HYPERCALL_REFUSE(PHYSDEVOP_, unmap_pirq, XEN_ENOSYS, NULL),
	HYPERCALL_REFUSE(PHYSDEVOP_, set_iopl, XEN_ENOSYS, "of PV guests"),
	HYPERCALL_REFUSE(PHYSDEVOP_, set_iobitmap, XEN_ENOSYS, "of PV guests"),
	HYPERCALL_REFUSE(PHYSDEVOP_, apic_read, XEN_ENOSYS, "of the control domain"),
	HYPERCALL_REFUSE(PHYSDEVOP_, apic_write, XEN_ENOSYS, "of the control domain"),
	HYPERCALL_REFUSE(PHYSDEVOP_, setup_gsi, XEN_ENOSYS, "of the control domain"),
	HYPERCALL_REFUSE(PHYSDEVOP_, get_free_pirq, XEN_ENOSYS, NULL),
	HYPERCALL_REFUSE(PHYSDEVOP_, pci_mmcfg_reserved, XEN_ENOSYS, "of the control domain"),
	HYPERCALL_REFUSE(PHYSDEVOP_, pci_device_add, XEN_ENOSYS, "of the control domain"),
	HYPERCALL_REFUSE(PHYSDEVOP_, pci_device_remove, XEN_ENOSYS, "of the control domain"),
	HYPERCALL_REFUSE(PHYSDEVOP_, pirq_eoi_gmfn_v1, XEN_ENOSYS, "of PV guests"),
	HYPERCALL_REFUSE(PHYSDEVOP_, pirq_eoi_gmfn_v2, XEN_ENOSYS, "of PV guests"),
};

HYPERCALL_FAMILY(physdev_op, OPS);
