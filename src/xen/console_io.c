// SPDX-License-Identifier: MIT
/* The hypervisor's own console, on which the shim logs. Output only. Source: <xen/xen.h>, HYPERVISOR_console_io. */
#include "xen/abi.h"

#include <glib.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

static int64_t write_console(struct xen_domain *xen, struct vcpu *vcpu, uint64_t len_bytes, uint64_t gva)
{
	char piece[512];

	/* A guest may name any length: it holds its own vCPU only, and not when the domain ends. */
	while (len_bytes > 0 && !atomic_load(&vcpu->vm->stopping)) {
		size_t piece_bytes = MIN(len_bytes, sizeof(piece));

		if (!copy_from_guest(vcpu, piece, gva, piece_bytes))
			return -XEN_EFAULT;
		shim_log_write(&xen->shim_log, vcpu->vm, piece, piece_bytes);
		gva += piece_bytes;
		len_bytes -= piece_bytes;
	}
	return 0;
}

int64_t hypercall_console_io(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	switch (call->arguments[0]) {
	case CONSOLEIO_write:
		return write_console(xen, vcpu, (uint32_t)call->arguments[1], call->arguments[2]);
	case CONSOLEIO_read:
		return 0;
	default:
		return -XEN_ENOSYS;
	}
}
